// The page to sign in at: name and password, and beside them what a test wants the provider to say of the sign-in.
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const html = (client, wrong) => `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Sign in</title>
<h1>Sign in to ${escape(client)}</h1>
${wrong ? '<p id="wrong">That was not right.</p>' : ''}
<form method="post">
  <p><label>Name <input id="username" name="username" required autofocus></label>
  <p><label>Password <input id="password" name="password" type="password" required></label>
  <p><label>Class (acr) <input id="acr" name="acr"></label>
  <p><label>Methods (amr) <input id="amr" name="amr"></label>
  <p><label>Signed in so many seconds ago <input id="ago" name="ago" value="0"></label>
  <p><button id="go">Sign in</button>
</form>
<form method="post"><button id="cancel" name="cancel" value="yes">Cancel</button></form>
</html>
`;

async function formOf(req) {
  let body = '';
  for await (const part of req) {
    body += part;
    if (body.length > 8192) throw new Error('a form that is too large');
  }
  return new URLSearchParams(body);
}

// signInPage gives what answers below /sign-in/.
export function signInPage(provider, { accounts, password }) {
  const show = (res, client, wrong) => {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    res.end(html(client, wrong));
  };
  const submit = async (req, res, client) => {
    const form = await formOf(req);
    if (form.has('cancel')) {
      return provider.interactionFinished(req, res, { error: 'access_denied' });
    }
    const accountId = form.get('username') ?? '';
    if (!Object.hasOwn(accounts, accountId) || form.get('password') !== password) {
      return show(res, client, true);
    }
    const login = { accountId, ts: Math.floor(Date.now() / 1000) - Number(form.get('ago') || 0) };
    if (form.get('acr')) login.acr = form.get('acr');
    if (form.get('amr')) login.amr = form.get('amr').split(' ');
    return provider.interactionFinished(req, res, { login });
  };
  return async (req, res) => {
    try {
      const { params } = await provider.interactionDetails(req, res);
      await (req.method === 'POST' ? submit(req, res, params.client_id) : show(res, params.client_id, false));
    } catch (err) {
      console.error('sign-in', err.message, err.error_description ?? '');
      res.writeHead(400, { 'content-type': 'text/plain' });
      res.end('This sign-in is not known here. Begin again where you came from.');
    }
  };
}
