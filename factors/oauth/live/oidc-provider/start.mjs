// Runs oidc-provider for the tests, on loopback and over TLS. It reads one line of JSON from its input:
//
//   cert, key   PEM, of the server; key may be of any kind that TLS takes
//   clientCA    PEM, of the authority that client certificates are issued by
//   port        of the issuer; 0: any free one
//   mtlsPort    where client certificates are asked for; 0: any free one
//   clients     metadata of clients, as the library takes them
//   accounts    by name: the claims of an account
//   password    of all accounts
//   acrs        authentication context classes that the provider knows
//
// prints READY with both addresses once both are open, and ends when its input does. Keys are made at each start, and nothing
// outlives the process: whoever starts it again on the same ports has the same provider with other keys, which has
// forgotten everybody.
import { createInterface } from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';
import { signInPage } from './page.mjs';
import { describes } from './subject.mjs';

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
const config = await new Promise((resolve) => lines.once('line', (line) => resolve(JSON.parse(line))));

// Two listeners, because one that asks for certificates makes browsers ask their user for one.
const plain = createServer({ cert: config.cert, key: config.key });
const mutual = createServer({ cert: config.cert, key: config.key, ca: config.clientCA, requestCert: true, rejectUnauthorized: false });
const open = (server, port) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', () => resolve(`https://localhost:${server.address().port}`));
});
const issuer = await open(plain, config.port);
const mtls = await open(mutual, config.mtlsPort);

const signingKey = (kind, options, alg) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), use: 'sig', alg });
const certificateOf = (ctx) => (ctx.socket.getPeerX509Certificate ? ctx.socket.getPeerX509Certificate() : undefined);
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const provider = new Provider(issuer, {
  clients: config.clients,
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'none'],
  jwks: {
    keys: [
      signingKey('rsa', { modulusLength: 2048 }, 'RS256'), signingKey('rsa', { modulusLength: 2048 }, 'PS256'),
      signingKey('ec', { namedCurve: 'P-256' }, 'ES256'), signingKey('ed25519', {}, 'EdDSA'),
    ],
  },
  enabledJWA: { idTokenSigningAlgValues: algorithms, clientAuthSigningAlgValues: algorithms },
  acrValues: config.acrs,
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  cookies: { keys: ['a provider for tests'] },
  discovery: {
    mtls_endpoint_aliases: { token_endpoint: `${mtls}/token`, userinfo_endpoint: `${mtls}/me`, pushed_authorization_request_endpoint: `${mtls}/request` },
  },
  features: {
    devInteractions: { enabled: false },
    pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: certificateOf,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => describes(certificateOf(ctx), property, expected),
    },
  },
  interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (ctx, id) => config.accounts[id] && { accountId: id, claims: () => ({ sub: id, ...config.accounts[id] }) },
  // Everybody consents to everything.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email');
    await grant.save();
    return grant;
  },
  // The library calls no loopback addresses. Here there are no others.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
});

for (const event of ['server_error', 'authorization.error', 'grant.error', 'pushed_authorization_request.error', 'userinfo.error', 'end_session.error', 'backchannel.error']) {
  provider.on(event, (ctx, err) => console.error(event, err.message, err.error_description ?? '', err.error_detail ?? ''));
}
const page = signInPage(provider, config);
const answer = provider.callback();
for (const server of [plain, mutual]) {
  server.on('request', (req, res) => (req.url.startsWith('/sign-in/') ? page(req, res) : answer(req, res)));
}
console.log(`READY ${issuer} ${mtls}`);
