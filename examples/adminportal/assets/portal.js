// What a page cannot do without JavaScript: passkeys. Everything else here is forms and links.
(() => {
  "use strict";

  // Browsers keep pages to come back to, whatever Cache-Control says. One that is kept holds nothing, and is asked for anew.
  addEventListener("pagehide", (event) => { if (event.persisted) document.body.replaceChildren(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  const texts = {
    invalid_credential: "That was not accepted. Try again; if it happens twice, ask your administrator.",
    not_authenticated: "Your session has ended. Sign in again.",
    login_expired: "That took too long. Start again.",
    client_certificate_required: "Your browser showed no certificate. Close it, open it again, and choose yours.",
    locked: "Too many attempts. Wait a few minutes, then try again.",
    unavailable: "The portal cannot decide this at the moment. Nothing was changed. Try again soon.",
    wrong_step: "Something else was going on in another window. Start again.",
    conflict: "That cannot be done as things are. Reload the page and look again.",
    forbidden: "Your account may not do this.",
  };

  class Refused extends Error {
    constructor(problem) {
      super(texts[problem.code] || problem.title || "That did not work.");
      this.code = problem.code;
      this.stepUp = problem.step_up;
    }
  }

  async function call(method, path, body) {
    const answer = await fetch("/auth" + path, {
      method,
      headers: { "Content-Type": "application/json", "Accept": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
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
    if (error && error.name === "NotAllowedError") return say("problem", "No passkey was used: it was cancelled, took too long, or this device has none for this portal.");
    if (error && error.name === "InvalidStateError") return say("problem", "This device has a passkey for you already.");
    say("problem", "That did not work. Check the connection and try again.");
  }

  // busy runs something with a button that cannot be pressed twice.
  async function busy(button, what) {
    say("problem", "");
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      await what();
    } catch (error) {
      explain(error);
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }

  // passkeyOf picks the factor that this page can do from those that the portal offers: their names are the policy's.
  const passkeys = (document.body.dataset.passkeys || "").split(" ");
  const passkeyOf = (names) => {
    const name = (names || []).find((n) => passkeys.includes(n));
    if (!name) throw new Refused({ title: "This needs something other than a passkey, and the page cannot do that." });
    return "/" + encodeURIComponent(name);
  };

  // prove answers what a state is waiting for, step by step, until nothing is open.
  async function prove(state) {
    for (let open = state.login || state.step_up; open; open = state.login || state.step_up) {
      const path = "/factors" + passkeyOf(open.next);
      const asked = await call("POST", path + "/challenge", {});
      say("status", "Your device asks for your passkey…");
      const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.publicKey) });
      state = await call("POST", path + "/verify", { credential: credential.toJSON() });
    }
    return state;
  }

  const stepUp = async (want) => prove(await call("POST", "/step-up", want));

  // create makes a passkey for the state that the caller is in.
  async function create(state, name) {
    const offered = state.factors || (state.onboarding && state.onboarding.factors) || (state.principal && state.principal.factors.map((f) => f.name));
    const path = "/credentials" + passkeyOf(offered);
    const asked = await call("POST", path + "/challenge", {});
    say("status", "Your device makes a passkey…");
    const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked.publicKey) });
    return call("POST", path + "/verify", { credential: credential.toJSON(), name });
  }

  // confirmed does something, and where it needs a fresher proof asks for one first.
  async function confirmed(what) {
    let refusal;
    try {
      return await what();
    } catch (error) {
      if (error.code !== "insufficient_user_authentication") throw error;
      refusal = error;
    }
    say("status", "First confirm that it is you…");
    const state = await call("GET", "/session");
    const own = state.principal.factors.map((f) => f.name).find((n) => passkeys.includes(n));
    await stepUp(own ? { factors: [own] } : refusal.stepUp);
    return what();
  }

  const on = (selector, event, handle) => document.querySelectorAll(selector).forEach((e) => e.addEventListener(event, (ev) => handle(e, ev)));

  on("#use-passkey", "click", (button) => busy(button, async () => {
    const card = button.closest("[data-return]");
    if (card.dataset.stepUp) {
      await stepUp(JSON.parse(card.dataset.stepUp));
    } else {
      await prove(await call("POST", "/login", { return_to: card.dataset.return }));
    }
    say("status", "Welcome.");
    location.assign(card.dataset.return);
  }));

  on("#enrol", "submit", (form, event) => {
    event.preventDefault();
    busy(form.querySelector("button"), async () => {
      const state = await call("POST", "/invitations/redeem", { code: form.elements["code"].value.trim() });
      await create(state, form.elements["name"].value.trim() || passkeyName());
      location.assign("/login?enrolled=1");
    });
  });

  // A link from an administrator carries the code where no server sees it, and it is not kept in the history.
  const invited = document.querySelector("#enrol");
  if (invited && location.hash.length > 1) {
    invited.elements["code"].value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
    invited.elements["name"].focus();
  }

  function passkeyName() {
    return "Passkey of " + new Date().toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  }

  on("#add", "submit", (form, event) => {
    event.preventDefault();
    busy(form.querySelector("button"), async () => {
      const state = await call("GET", "/session");
      await confirmed(() => create(state, form.elements["name"].value.trim() || passkeyName()));
      location.reload();
    });
  });

  on(".remove-passkey", "click", (button) => {
    if (!sure(button, "Really remove?")) return;
    busy(button, async () => {
      await confirmed(() => call("DELETE", "/credentials/" + encodeURIComponent(button.dataset.id)));
      location.reload();
    });
  });

  on("form[data-confirm]", "submit", (form, event) => {
    if (!sure(form.querySelector("button"), form.dataset.confirm)) event.preventDefault();
  });

  // sure reports whether a button was pressed the second time. After the first it asks, until it loses the focus.
  function sure(button, question) {
    if (button.dataset.asked) return true;
    const before = { text: button.textContent, label: button.getAttribute("aria-label") };
    button.dataset.asked = "yes";
    button.textContent = question;
    if (before.label) button.setAttribute("aria-label", before.label + ": " + question);
    say("announce", question + " Press again to go on.");
    button.addEventListener("blur", () => {
      delete button.dataset.asked;
      button.textContent = before.text;
      if (before.label) button.setAttribute("aria-label", before.label);
      say("announce", "");
    }, { once: true });
    return false;
  }

  on(".copy", "click", async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      say("announce", "Copied.");
      const text = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = text; }, 2000);
    } catch {
      say("announce", "This browser does not let the page copy. Mark the code and copy it yourself.");
    }
  });
  document.querySelectorAll(".copy").forEach((button) => { button.hidden = false; });

  // One menu at a time, and Escape closes it.
  const menus = document.querySelectorAll("details.more, details.rename");
  document.addEventListener("click", (event) => menus.forEach((m) => { if (!m.contains(event.target)) m.open = false; }));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menus.forEach((m) => { if (m.open) { m.open = false; m.querySelector("summary").focus(); } });
  });

  // Times are written in UTC; whoever reads them has a clock of their own.
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const seconds = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  document.querySelectorAll("time[datetime]").forEach((e) => {
    e.title = e.textContent;
    e.textContent = ("seconds" in e.dataset ? seconds : clock).format(new Date(e.dateTime));
  });

  // A certificate that does not open the portal is tried once, so that an administrator finds the reason.
  if (document.querySelector("[data-try]")) call("POST", "/login", {}).catch(() => {});

  // On a phone the tab that is open may lie outside.
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.scrollIntoView({ block: "nearest", inline: "center" });
})();
