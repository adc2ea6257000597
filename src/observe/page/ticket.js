// The ticket's text, what the central shows, whether the seal is its own, and what was found last.
let ticketText = null, shown = null, isTyped = false, found = null;
// What is drawn, so that screen readers are told only of changes.
let drawn = "";

/** What is told of a ticket that holds: whether it has won, the facts, the notes. */
function told({ ticket, row, won }, words) {
  const notes = [], theirs = shown?.seal === ticket.seal && shown.phase === "drawn" ? shown.number : null;
  let reason = won === "open" ? words.open : words[won](ticket.number);
  if (won === "open" && theirs !== null) notes.push(words.central[String(theirs) === row.number ? "won" : "lost"](theirs));
  if (won !== "open" && theirs === null) notes.push(words.onlyTicket);
  if (won !== "open" && theirs !== null && String(theirs) !== String(ticket.number)) {
    [reason, won] = [words.disputed(ticket.number, theirs), "disputed"];
  }
  if (shown?.seal === ticket.seal && shown.lottery !== ticket.lottery) notes.push(words.lottery(shown.lottery));
  notes.push(words.authority);
  const closed = new Date(Number(ticket.sealed_at) * 1000);
  const form = { dateStyle: "long", timeStyle: "medium", hourCycle: "h23" };
  const time = Number.isNaN(closed.getTime()) ? String(ticket.sealed_at) : new Intl.DateTimeFormat(locale(), form).format(closed);
  const facts = [words.bet(ticket.bet, ticket.bets, ticket.agency), row.names.join(" "), row.document, row.birthdate, row.number,
    ticket.lottery, ticket.seal, time];
  return { verdict: "in", won, reason, facts, notes };
}

/** What is to be shown of what was found. */
function result(words) {
  if (found === null) return null;
  if (found.ticket) return told(found, words);
  if (found.word === "ask") return { verdict: "asks", reason: words.ask };
  const verdict = found.word === "scheme" ? "unable" : "out", reason = words[found.word];
  const text = typeof reason === "string" ? reason : reason(...found.values);
  return { verdict, reason: `${text[0].toUpperCase()}${text.slice(1)}.` };
}

function draw() {
  const words = WORDS[language()], { verdict, won = "", reason = "", facts = [], notes = [] } = result(words) ?? {};
  sayAlways(words);
  document.title = `${words.title} – quiniela`;
  const seal = typed(), isShown = shown?.seal && seal === shown.seal && !isTyped;
  const hint = isShown ? words.sealShown : shown && !shown.seal && seal === "" ? words.sealNone : words.sealTyped;
  say("seal-hint", seal === "" || isSeal(seal) ? hint : words.sealBad(seal.length));
  const next = JSON.stringify([verdict, won, reason, facts, notes, language()]);
  if (next === drawn) return;
  drawn = next;
  const box = element("result");
  box.hidden = verdict === undefined;
  box.className = `card result ${verdict === "out" || verdict === "unable" ? "warning" : verdict ?? ""}`;
  Object.assign(box.dataset, { verdict: verdict ?? "", won });
  say("verdict", verdict ? words[verdict] : "");
  say("reason", reason);
  element("reason").className = won;
  element("facts").replaceChildren(...facts.flatMap((fact, at) => [made("dt", words.facts[at]), made("dd", fact)]));
  element("notes").replaceChildren(...notes.map((note) => made("li", note)));
}

/** The seal in the field. People may type it in groups and in capitals. */
const typed = () => element("seal").value.replace(/\s/g, "").toLowerCase();
const isSeal = (text) => /^[0-9a-f]{64}$/.test(text);

async function checkAgain() {
  const [text, seal] = [ticketText, typed()];
  let next = null;
  if (text instanceof Refusal) next = text;
  else if (text !== null) {
    // Without a seal it is still told whether the file is a ticket at all.
    try { next = await check(text, seal); } catch (error) { next = error instanceof Refusal ? error : new Refusal("read"); }
    if (next.word === "other" && !isSeal(seal)) next = new Refusal("ask");
  }
  // Something newer may have been given meanwhile.
  if (text !== ticketText || seal !== typed()) return;
  found = next;
  draw();
}

/** Takes the bytes of a file as they are. */
async function takeFile(file) {
  try {
    if (file.size > MOST_BYTES) refuse("large");
    const bytes = await file.arrayBuffer().catch(() => refuse("read"));
    ticketText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    ticketText = error instanceof Refusal ? error : new Refusal("utf8");
  }
  await checkAgain();
}

/** Takes a text that was copied: what surrounds a ticket is often lost or added on the way. */
async function takeText(text) {
  ticketText = text.trim() === "" ? null : `${text.trim()}\n`;
  await checkAgain();
}

/** Asks the central that serves this page for its seal and its number, until it has both. A saved page asks nobody. */
async function askCentral() {
  try {
    const answer = await fetch("/status.json", { cache: "no-store" });
    if (answer.ok) shown = await answer.json();
  } catch { /* It may come back. */ }
  if (shown?.seal && !isTyped) element("seal").value = shown.seal;
  if (shown?.phase !== "drawn") setTimeout(askCentral, 3000);
  checkAgain();
  draw();
}

function begin() {
  draw();
  addEventListener("hashchange", draw);
  const isSaved = location.protocol === "file:";
  element("save").hidden = isSaved;
  if (!globalThis.crypto?.subtle) {
    element("insecure").hidden = false;
    for (const id of ["file", "text", "seal"]) element(id).disabled = true;
    return;
  }
  element("file").addEventListener("change", ({ target }) => target.files[0] && takeFile(target.files[0]));
  element("text").addEventListener("input", ({ target }) => takeText(target.value));
  element("seal").addEventListener("input", () => { isTyped = typed() !== ""; checkAgain(); draw(); });
  addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
  addEventListener("dragleave", () => element("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) takeFile(file); else takeText(event.dataTransfer.getData("text/plain"));
  });
  if (!isSaved) askCentral();
}

begin();
