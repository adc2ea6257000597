// Once a second; more slowly while the central does not answer, or if an update takes this page long.
const POLL = 1000, SLOWEST = 5000, PATIENCE = 5000;
// Rates are over this many seconds: a single one says little.
const RECENT = 10;
// Seconds that the chart is wide, whether or not the central has run for so long.
const SPAN = 300;
const PHASES = ["open", "sealed", "drawn"];

// What the central last said, when that was, and whether it still answers.
let latest = null, heard = null, isLost = false, isOld = false, failures = 0;
// Earlier answers, for the rates of the agencies: the time of each, and the bets by agency.
let earlier = [];

/** Numbers and times as the language writes them. */
function forms() {
  const whole = new Intl.NumberFormat(locale(), { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat(locale(), { maximumSignificantDigits: 2 });
  const clock = new Intl.DateTimeFormat(locale(), { timeStyle: "medium", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  return {
    count: (number) => whole.format(number),
    seconds: (time) => time < 1 ? `${short.format(time * 1000)}\u00a0ms` : `${short.format(time)}\u00a0s`,
    clock: (time) => clock.format(time),
    day: (text) => day.format(new Date(text)),
  };
}

/** The bets a second of an agency over the last answers. */
function rateOf(agency) {
  const first = earlier[0], last = earlier.at(-1);
  const seconds = (last.time - first.time) / 1000;
  return seconds > 0 ? Math.max(0, agency.bets - (first.bets.get(agency.agency) ?? 0)) / seconds : 0;
}

function remember(answer) {
  const time = Date.parse(answer.time);
  // Another start or another lottery counts anew.
  if (latest?.started !== answer.started || latest?.lottery !== answer.lottery) earlier = [];
  earlier.push({ time, bets: new Map(answer.agencies.map((agency) => [agency.agency, agency.bets])) });
  while (earlier.length > 2 && time - earlier[1].time >= RECENT * 1000) earlier.shift();
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / Math.max(1, numbers.length);

function drawPhase(words, form) {
  const at = PHASES.indexOf(latest.phase);
  say("phase", words[latest.phase]);
  const left = latest.agencies.filter((agency) => !agency.done).length;
  const winners = form.count(latest.agencies.reduce((sum, agency) => sum + (agency.winners ?? 0), 0));
  say("phase-more", words.phaseMore[latest.phase](latest.phase === "drawn" ? winners : left));
  [...element("steps").children].forEach((step, place) => {
    say(step, words.steps[place]);
    step.className = place <= at ? "past" : "";
    mark(step, "aria-current", place === at ? "step" : null);
  });
  const isDrawn = latest.phase === "drawn" && latest.number !== null;
  const balls = element("balls"), digits = isDrawn ? String(latest.number) : "";
  balls.hidden = !isDrawn;
  balls.setAttribute("aria-label", `${words.number}: ${digits}`);
  if (balls.textContent !== digits) balls.replaceChildren(...[...digits].map((digit) => made("span", digit)));
  const isKnown = latest.number !== null;
  sayIf("number-more", isDrawn ? null : isKnown ? words.known(latest.number) : words.later);
}

function drawFigures(words, form) {
  const done = latest.agencies.filter((agency) => agency.done).length, all = latest.agencies.length;
  say("bets", form.count(latest.bets));
  say("bets-more", all > 0 ? words.perAgency(form.count(latest.bets / all)) : "");
  say("rate", form.count(mean(latest.rate.bets.slice(-RECENT))));
  say("done", words.of(form.count(done), form.count(all)));
  say("connections", words.connections(form.count(latest.connections.open)));
  const time = latest.acknowledgement;
  say("latency", time ? form.seconds(time.p50) : "–");
  say("latency-more", time ? words.slow(form.seconds(time.p99), form.seconds(time.max)) : words.quiet);
}

function drawChart(words, form) {
  const { bets } = latest.rate, seconds = Math.max(SPAN, bets.length);
  const most = Math.max(0, ...bets), step = 10 ** Math.floor(Math.log10(Math.max(most, 10)));
  const top = [1, 2, 4, 5, 10].map((times) => times * step).find((top) => top >= most);
  // The last one stands at the right end.
  const x = (place) => 300 - (bets.length - 1 - place) * 300 / (seconds - 1);
  const points = bets.map((count, place) => `${x(place).toFixed(1)} ${(100 - 100 * count / top).toFixed(2)}`);
  const curve = points.length ? `M${points.join("L")}` : "";
  element("curve").setAttribute("d", curve);
  element("area").setAttribute("d", curve && `${curve}V100H${x(0).toFixed(1)}Z`);
  say("most", form.count(top));
  say("half", form.count(top / 2));
  say("oldest", words.minutes(Math.round(seconds / 60)));
  say("chart-text", words.chartText(form.count(most), form.count(mean(bets)), form.count(bets.at(-1) ?? 0)));
}

/** Makes the cells of a row, or changes those that are there. The first is its header. */
function fill(row, texts, tag, scope) {
  while (row.children.length < texts.length) {
    const one = made(row.children.length === 0 ? "th" : tag, "");
    if (one.tagName === "TH") one.scope = scope;
    row.append(one);
  }
  while (row.children.length > texts.length) row.lastChild.remove();
  texts.forEach((text, place) => say(row.children[place], text));
}

function drawAgencies(words, form) {
  const isDrawn = latest.phase === "drawn", shown = (texts) => isDrawn ? texts : texts.slice(0, 4);
  fill(element("heads"), shown(words.heads), "th", "col");
  const rows = element("rows");
  while (rows.children.length > latest.agencies.length) rows.lastChild.remove();
  while (rows.children.length < latest.agencies.length) rows.append(document.createElement("tr"));
  const sums = { rate: 0, done: 0, winners: 0 };
  latest.agencies.forEach((agency, place) => {
    const rate = rateOf(agency), state = agency.done ? agency.status ?? "done" : "sending";
    sums.rate += rate;
    sums.done += agency.done ? 1 : 0;
    sums.winners += agency.winners ?? 0;
    const winners = agency.winners === null ? "–" : form.count(agency.winners);
    fill(rows.children[place], shown([String(agency.agency), form.count(agency.bets), form.count(rate),
      words[state] ?? state, winners]), "td", "row");
    rows.children[place].children[3].className = state === "overridden" ? "odd" : agency.done ? "done" : "soft";
  });
  fill(element("sums"), shown([words.sum, form.count(latest.bets), form.count(sums.rate),
    words.of(form.count(sums.done), form.count(latest.agencies.length)), form.count(sums.winners)]), "td", "row");
  sayIf("none", latest.agencies.length === 0 ? words.none : null);
}

function drawSeal(words, form) {
  sayIf("seal", latest.seal);
  say("seal-more", latest.seal ? words.sealedAt(latest.sealed_at ? form.day(latest.sealed_at) : "") : words.noSeal);
  element("ticket").hash = language();
}

function draw() {
  const words = WORDS[language()], form = forms();
  sayAlways(words);
  document.body.classList.toggle("lost", isLost);
  say("live", heard === null || isLost ? words.waiting : words.live(form.clock(heard)));
  const lost = isOld ? words.old : heard === null ? words.never : words.lost(form.clock(heard));
  sayIf("lost", isLost ? lost : null);
  document.title = `${latest === null ? "" : `${words[latest.phase]} – `}quiniela`;
  if (latest === null) return;
  sayIf("unready", latest.ready || isLost ? null : `${words.unready} ${latest.reason ?? ""}`);
  for (const part of [drawPhase, drawFigures, drawChart, drawAgencies, drawSeal]) part(words, form);
  say("version", `quiniela ${latest.version}${latest.commit ? ` (${latest.commit})` : ""}`);
  sayIf("lottery", latest.lottery && words.lottery(latest.lottery));
  say("started", words.started(form.day(latest.started)));
}

/** Tells a screen reader what has changed, and nothing that changes all the time. */
function tell(before, wasLost) {
  const words = WORDS[language()];
  if (isLost && !wasLost) say("news", element("lost").textContent);
  else if (!isLost && wasLost) say("news", words.back);
  else if (latest !== null && latest.phase !== before?.phase) say("news", words[latest.phase]);
}

async function ask() {
  const answer = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const said = await answer.json();
  isOld = said.format !== 1;
  if (isOld) throw new Error(`format ${said.format}`);
  return said;
}

async function follow() {
  const begun = performance.now(), before = latest, wasLost = isLost;
  let wait = POLL;
  try {
    const answer = await ask();
    remember(answer);
    [latest, heard, isLost, failures] = [answer, Date.now(), false, 0];
  } catch {
    isLost = true;
    failures += 1;
    wait = Math.min(SLOWEST, POLL * failures);
  } finally {
    setTimeout(follow, Math.max(wait - (performance.now() - begun), wait / 4));
  }
  draw();
  tell(before, wasLost);
}

addEventListener("hashchange", draw);
draw();
follow();
