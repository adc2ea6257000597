/** The root to which a path leads from a leaf's content at a place, by RFC 9162. Null if the path's length is another. */
async function climb(content, place, leaves, path) {
  if (place >= leaves) return null;
  let node = await sha256(joined([0], content));
  const beside = path.map(unhex);
  for (let width = leaves; width > 1n; place /= 2n, width = (width + 1n) / 2n) {
    if ((place ^ 1n) >= width) continue;
    const other = beside.shift();
    if (!other) return null;
    node = await sha256(place % 2n === 0n ? joined([1], node, other) : joined([1], other, node));
  }
  return beside.length === 0 ? hex(node) : null;
}

/** Checks a ticket against a seal, as `quiniela ticket --check TICKET --seal HEX` does. Refuses one that does not hold. */
async function check(text, seal) {
  const ticket = await read(text), row = values(ticket.row);
  if (row.agency !== String(ticket.agency)) refuse("agency", row.agency, ticket.agency);
  if (!/^[0-9a-f]{32}$/.test(ticket.salt)) refuse("salt");
  const leaf = joined(unhex(ticket.salt), utf8(`${ticket.row}\r\n`));
  const root = ticket.bet === 0n ? null : await climb(leaf, ticket.bet - 1n, ticket.bets, ticket.path);
  if (root !== ticket.root) refuse("root");
  const line = utf8(`${ticket.agency},${ticket.bets},${ticket.root},${ticket.status}\n`);
  if (await climb(line, ticket.agency - 1n, ticket.agencies, ticket.agency_path) !== ticket.seal) refuse("line");
  if (ticket.total < ticket.bets) refuse("total");
  if (ticket.signed) await checkSignature(ticket);
  if (ticket.seal !== seal) refuse("other", ticket.seal);
  const won = ticket.number === undefined ? "open" : String(ticket.number) === row.number ? "won" : "lost";
  return { ticket, row, won };
}

