// The OpenID provider of the demo and of the end-to-end tests: the certified `oidc-provider`, told by one JSON file
// who its people are and which keys it signs with. It hands out JWT access tokens (RFC 9068) by client credentials, to
// some people only such as are bound to the certificate that they show (RFC 8705).
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const people = new Map(settings.people.map((person) => [person.id, person]));

/** A private signing key as the provider wants it; the public half goes out in the key set. */
function signingKey({ kid, alg, file }) {
  const jwk = createPrivateKey(readFileSync(file)).export({ format: 'jwk' });
  return { ...jwk, kid, alg, use: 'sig' };
}

/** People take tokens by client credentials: the client's name becomes the token's `sub`. */
function client({ id, secret, bound }) {
  return {
    client_id: id,
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    tls_client_certificate_bound_access_tokens: bound,
  };
}

/** Keeps nothing: every token here stands for itself, so there is nothing to look up later. */
class NoStore {
  async upsert() {}
  async find() {}
  async findByUid() {}
  async findByUserCode() {}
  async consume() {}
  async destroy() {}
  async revokeByGrantId() {}
}

const provider = new Provider(settings.issuer, {
  adapter: NoStore,
  clients: settings.people.map(client),
  cookies: { keys: [settings.cookie_key] },
  jwks: { keys: settings.keys.map(signingKey) },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: ({ socket }) => (socket.authorized ? socket.getPeerX509Certificate() : undefined),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource, { clientId }) => ({
        scope: '',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: people.get(clientId).algorithm } },
      }),
    },
  },
  extraTokenClaims: (_ctx, token) => people.get(token.clientId).claims,
  ttl: { ClientCredentials: settings.token_lifetime_seconds },
});

const tls = {
  key: readFileSync(settings.tls.key),
  cert: readFileSync(settings.tls.certificate),
  // A certificate may be shown; one that does not verify counts as none.
  ca: readFileSync(settings.tls.client_ca),
  requestCert: true,
  rejectUnauthorized: false,
};
createServer(tls, provider.callback()).listen(settings.port, '127.0.0.1');
