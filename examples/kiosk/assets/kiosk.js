// What the kiosk cannot do without JavaScript: open itself, passkeys, and to notice that somebody has left.
(() => {
  "use strict";

  const home = "/kiosk";
  const texts = {
    invalid_credential: "That was not accepted. Try again; if it happens twice, ask whoever looks after this kiosk.",
    not_authenticated: "You are signed out. Sign in again.",
    login_expired: "That took too long. Start again.",
    client_certificate_required: "This kiosk showed no certificate.",
    locked: "Too many attempts. Wait a few minutes, then try again.",
    unavailable: "Nothing can be decided at the moment, and nothing was changed. Try again soon.",
    wrong_step: "Something else was going on in another window. Start again.",
    conflict: "That cannot be done as things are. Start again.",
    forbidden: "That is not on offer here.",
  };

  class Refused extends Error {
    constructor(problem) { super(texts[problem.code] || problem.title || "That did not work."); }
  }

  async function call(path, body) {
    const answer = await fetch("/auth" + path, {
      method: "POST", cache: "no-store", body: JSON.stringify(body || {}),
      headers: { "Content-Type": "application/json", "Accept": "application/json" },
    });
    const text = await answer.text();
    const data = text ? JSON.parse(text) : {};
    if (!answer.ok) throw new Refused(data);
    return data;
  }

  const say = (id, text) => {
    const e = document.getElementById(id);
    if (!e) return;
    e.textContent = text;
    if (id === "problem") e.hidden = text === "";
  };

  function explain(error) {
    say("status", "");
    if (error instanceof Refused) return say("problem", error.message);
    if (error && error.name === "NotAllowedError") return say("problem", "No passkey was used: it was cancelled, took too long, or there is none for this kiosk.");
    if (error && error.name === "InvalidStateError") return say("problem", "There is a passkey of yours already.");
    say("problem", "That did not work. Check the connection and try again.");
  }

  // busy runs something with a button that cannot be pressed twice. What was begun and did not work is begun anew, so that it
  // does not wait for whoever comes next.
  async function busy(button, what) {
    say("problem", "");
    button.disabled = true;
    try {
      await what();
    } catch (error) {
      explain(error);
      await call("/cancel").catch(() => {});
    } finally {
      button.disabled = false;
    }
  }

  // The names of the factors that this page can do are the policy's.
  const names = (of) => (document.body.dataset[of] || "").split(" ");
  const among = (offered, of) => (offered || []).find((n) => names(of).includes(n));

  async function withPasskey(path) {
    const asked = await call(path + "/challenge");
    say("status", "Your key or phone asks for you…");
    const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.publicKey) });
    return call(path + "/verify", { credential: credential.toJSON() });
  }

  async function withBadge(path, badge) {
    await call(path + "/challenge");
    return call(path + "/verify", { credential: badge });
  }

  // signIn goes through a method step by step, with the badge where one was typed.
  async function signIn(method, badge) {
    let state = await call("/login", { method });
    while (state.login) {
      const passkey = among(state.login.next, "passkeys"), shown = badge && among(state.login.next, "badges");
      if (shown) state = await withBadge("/factors/" + encodeURIComponent(shown), badge);
      else if (passkey) state = await withPasskey("/factors/" + encodeURIComponent(passkey));
      else throw new Refused({ title: "This needs something that the page cannot do." });
    }
    location.replace(home);
  }

  const on = (selector, event, handle) => document.querySelectorAll(selector).forEach((e) => e.addEventListener(event, (ev) => handle(e, ev)));

  on(".use-passkey", "click", (button) => busy(button, () => signIn(button.dataset.method)));

  on(".use-badge", "submit", (form, event) => {
    event.preventDefault();
    const badge = { number: form.elements["number"].value, pin: form.elements["pin"].value };
    form.reset();
    busy(form.querySelector("button"), () => signIn(form.dataset.method, badge));
  });

  on("#enrol", "submit", (form, event) => {
    event.preventDefault();
    busy(form.querySelector("button"), async () => {
      const state = await call("/invitations/redeem", { code: form.elements["code"].value.trim() });
      const factor = among(state.onboarding && state.onboarding.factors, "passkeys");
      if (!factor) throw new Refused({ title: "There is no passkey to be added." });
      const path = "/credentials/" + encodeURIComponent(factor);
      const asked = await call(path + "/challenge");
      say("status", "Your key or phone makes a passkey…");
      const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked.publicKey) });
      await call(path + "/verify", { credential: credential.toJSON(), name: form.elements["name"].value.trim() || "Passkey" });
      location.replace(home + "?enrolled");
    });
  });

  // A kiosk opens by itself.
  const opening = document.querySelector("form[data-by-itself]");
  if (opening) opening.requestSubmit();

  // A certificate that opens nothing is tried once, so that the reason is in the audit log.
  if (document.querySelector("[data-try]")) call("/login").catch(() => {});

  // What the address says of the way here was said.
  if (location.search) history.replaceState(null, "", location.pathname);

  // All windows of this browser show the same visit. One that shows another is out of date.
  const visit = document.body.dataset.visit;
  const windows = new BroadcastChannel("kiosk");
  let seen = Date.now();
  windows.onmessage = ({ data }) => {
    if (data.visit !== visit) location.replace(home);
    else seen = Date.now();
  };
  const tell = () => { seen = Date.now(); windows.postMessage({ visit }); };
  tell();

  // Who does nothing is signed out, by the page as by the server: asking whether the time is up would itself be a use. What
  // somebody typed and did not send does not stay either.
  const idle = Number(document.body.dataset.idle);
  function look() {
    const left = Math.max(0, Math.ceil(idle - (Date.now() - seen) / 1000));
    if (visit) {
      say("left", Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0"));
      document.querySelector(".clock")?.classList.toggle("soon", left <= 30);
    }
    if (left > 0) return;
    if (visit) {
      clearInterval(looking);
      const leave = document.querySelector("form.leave");
      leave.action += "?idle";
      leave.submit();
    } else if (location.pathname !== home) {
      location.replace(home);
    } else {
      document.querySelectorAll("form").forEach((form) => form.reset());
      say("problem", "");
    }
  }
  const looking = idle > 0 && setInterval(look, 1000);
  if (idle > 0) look();
  if (!visit) addEventListener("input", () => { seen = Date.now(); });
  on("#stay", "click", (button) => busy(button, async () => {
    const answer = await fetch(home + "/whoami", { cache: "no-store", headers: { Accept: "application/json" } });
    if (!answer.ok || !(await answer.json()).person) return location.replace(home);
    tell();
  }));

  // A page that is kept to come back to keeps nothing of anybody, and is asked for anew.
  addEventListener("pagehide", (event) => { if (event.persisted && visit) document.body.replaceChildren(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.replace(home); });

  const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  document.querySelectorAll("time[datetime]").forEach((e) => {
    e.title = e.textContent;
    e.textContent = times.format(new Date(e.dateTime));
  });
})();
