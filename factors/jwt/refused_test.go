package jwt

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Every claim that is wrong is refused for its own reason, and only that; beside it stands one that is right.
func TestClaims(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	type m = map[string]any
	for name, c := range map[string]struct {
		also m
		why  authn.Reason // empty: it is good
	}{
		"as it should be":                   {nil, ""},
		"another issuer":                    {m{"iss": "https://issuer.corp.example.evil.example"}, ReasonIssuer},
		"issuer with a slash":               {m{"iss": issuer + "/"}, ReasonIssuer},
		"no issuer":                         {m{"iss": nil}, ReasonClaimMissing},
		"issuers":                           {m{"iss": []string{issuer}}, jose.ReasonClaimType},
		"another audience":                  {m{"aud": "other-api"}, ReasonAudience},
		"audience in another case":          {m{"aud": "Secrets-API"}, ReasonAudience},
		"part of the audience":              {m{"aud": "secrets"}, ReasonAudience},
		"several audiences":                 {m{"aud": []string{"other-api", audience}}, ""},
		"several other audiences":           {m{"aud": []string{"other-api", "third"}}, ReasonAudience},
		"no audience":                       {m{"aud": nil}, ReasonClaimMissing},
		"an empty list of audiences":        {m{"aud": []string{}}, ReasonAudience},
		"audience that is a number":         {m{"aud": 1}, jose.ReasonClaimType},
		"over":                              {m{"exp": at(-31 * time.Second)}, ReasonExpired},
		"over within the leeway":            {m{"exp": at(-29 * time.Second)}, ""},
		"over to the second":                {m{"exp": at(-30 * time.Second)}, ReasonExpired},
		"without end":                       {m{"exp": nil}, ReasonClaimMissing},
		"end as text":                       {m{"exp": "4102444800"}, jose.ReasonClaimType},
		"end with an exponent":              {m{"exp": 1e30}, jose.ReasonClaimTime},
		"end before time":                   {m{"exp": -1}, jose.ReasonClaimTime},
		"end that is huge":                  {m{"exp": int64(1) << 62}, jose.ReasonClaimTime},
		"end that is null":                  {m{"exp": jsonNull{}}, jose.ReasonClaimType},
		"end with decimals":                 {m{"exp": float64(at(time.Hour)) + 0.5}, ""},
		"not yet":                           {m{"nbf": at(31 * time.Second)}, ReasonNotYet},
		"not yet within the leeway":         {m{"nbf": at(29 * time.Second)}, ""},
		"start as text":                     {m{"nbf": "0"}, jose.ReasonClaimType},
		"from the future":                   {m{"iat": at(31 * time.Second)}, ReasonFuture},
		"from the future, within":           {m{"iat": at(29 * time.Second)}, ""},
		"never issued":                      {m{"iat": nil}, ReasonClaimMissing},
		"issued as text":                    {m{"iat": "now"}, jose.ReasonClaimType},
		"signed in as text":                 {m{"auth_time": "now"}, jose.ReasonClaimType},
		"nobody":                            {m{"sub": nil}, ReasonClaimMissing},
		"an empty subject":                  {m{"sub": ""}, ReasonClaim},
		"a subject that is a number":        {m{"sub": 1}, jose.ReasonClaimType},
		"a subject that is too long":        {m{"sub": strings.Repeat("a", 1025)}, ReasonClaim},
		"a subject that cannot be all seen": {m{"sub": "alice\u200b"}, ReasonClaim},
		"somebody else":                     {m{"sub": "mallory"}, factors.ReasonUserUnknown},
		"somebody in another case":          {m{"sub": "Alice"}, factors.ReasonUserUnknown},
		"an id that is a number":            {m{"jti": 1}, jose.ReasonClaimType},
		"an empty id":                       {m{"jti": ""}, ReasonClaim},
		"without an id":                     {m{"jti": nil}, ""},
		"scopes as a list":                  {m{"scope": []string{"secrets:read"}}, jose.ReasonClaimType},
		"scopes with two spaces":            {m{"scope": "secrets:read  secrets:write"}, ReasonClaim},
		"a scope with a quote":              {m{"scope": `secrets:read "`}, ReasonClaim},
		"without scopes":                    {m{"scope": nil}, ""},
		"scopes that are too long":          {m{"scope": strings.Repeat("a", maxScopes)}, ReasonClaim},
		"a logout token":                    {m{"events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}}, ReasonOtherUse},
		"an ID token by its nonce":          {m{"nonce": "n"}, ReasonOtherUse},
		"an ID token by its hash":           {m{"at_hash": "h"}, ReasonOtherUse},
		"an ID token by the code":           {m{"c_hash": "h"}, ReasonOtherUse},
		"a proof":                           {m{"htm": "GET", "htu": address}, ReasonOtherUse},
		"bound to nothing":                  {m{"cnf": m{}}, ReasonConfirmation},
		"bound to text":                     {m{"cnf": "x"}, jose.ReasonClaimType},
		"bound to a key in it":              {m{"cnf": m{"jwk": m{}}}, ReasonConfirmation},
		"bound to half a certificate":       {m{"cnf": m{"x5t#S256": "AAAA"}}, ReasonConfirmation},
		"bound to a number":                 {m{"cnf": m{"x5t#S256": 1}}, ReasonConfirmation},
		"bound to a padded digest":          {m{"cnf": m{"x5t#S256": strings.Repeat("A", 43) + "="}}, ReasonConfirmation},
		"bound to a digest with bits":       {m{"cnf": m{"x5t#S256": strings.Repeat("A", 42) + "B"}}, ReasonConfirmation},
		"bound to what isn't known":         {m{"cnf": m{"x5t#S256": strings.Repeat("A", 43), "new": "x"}}, ReasonConfirmation},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			r := bearer(b.token(with(c.also)))
			if c.why == "" {
				b.good(name, r)
				return
			}
			b.refused(name, r, c.why)
			b.refused(name+", once more", r, c.why)
		})
	}
}

// jsonNull is written as null.
type jsonNull struct{}

func (jsonNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// What the policy asks for beyond that is refused where it is missing.
func TestWhatThePolicyAsksFor(t *testing.T) {
	type m = map[string]any
	const spiffe = "spiffe: { trust_domain: corp.example }\nuser: { pattern: \"spiffe://corp.example/ns/{user}\" }"
	for name, c := range map[string]struct {
		more string
		also m
		why  authn.Reason
	}{
		"young enough":            {"max_age: 61s", nil, ""},
		"too old":                 {"max_age: 60s", nil, ReasonTooOld},
		"less leeway":             {"leeway: 1s", m{"exp": now.Add(-2 * time.Second).Unix()}, ReasonExpired},
		"a claim":                 {"require: [client_id]", m{"client_id": "c"}, ""},
		"a claim that is missing": {"require: [client_id]", nil, ReasonClaimMissing},
		"a claim that is null":    {"require: [client_id]", m{"client_id": jsonNull{}}, ReasonClaimMissing},
		"a scope":                 {"scopes: [\"secrets:read\"]", nil, ""},
		"a scope that is missing": {"scopes: [\"secrets:read\", \"secrets:admin\"]", nil, ReasonScope},
		"part of a scope":         {"scopes: [secrets]", nil, ReasonScope},
		"a pattern":               {"user: { pattern: \"{user}@corp.example\" }", m{"sub": "alice@corp.example"}, ""},
		"another pattern":         {"user: { pattern: \"{user}@corp.example\" }", nil, ReasonUnmapped},
		"a pattern around nobody": {"user: { pattern: \"{user}@corp.example\" }", m{"sub": "@corp.example"}, ReasonUnmapped},
		"a pattern twice":         {"user: { pattern: \"{user}@corp.example\" }", m{"sub": "alice@corp.example@corp.example"}, ReasonUnmapped},
		"ends that overlap":       {"user: { pattern: \"ab{user}bc\" }", m{"sub": "abc"}, ReasonUnmapped},
		"a path within a pattern": {"user: { pattern: \"spiffe://corp.example/{user}\" }", m{"sub": "spiffe://corp.example/a/alice"}, ReasonUnmapped},
		"a SPIFFE ID":             {spiffe, m{"sub": "spiffe://corp.example/ns/alice"}, ""},
		"no SPIFFE ID":            {spiffe, nil, ReasonSPIFFE},
		"of another trust domain": {spiffe, m{"sub": "spiffe://corp.example.evil/ns/alice"}, ReasonSPIFFE},
		"in another case":         {spiffe, m{"sub": "spiffe://CORP.example/ns/alice"}, ReasonSPIFFE},
		"with a dot segment":      {spiffe, m{"sub": "spiffe://corp.example/ns/./alice"}, ReasonSPIFFE},
		"with an escape":          {spiffe, m{"sub": "spiffe://corp.example/ns/%61lice"}, ReasonSPIFFE},
		"with a query":            {spiffe, m{"sub": "spiffe://corp.example/ns/alice?x"}, ReasonSPIFFE},
		"with a slash at the end": {spiffe, m{"sub": "spiffe://corp.example/ns/alice/"}, ReasonSPIFFE},
		"a SPIFFE ID elsewhere":   {spiffe, m{"sub": "spiffe://corp.example/other/alice"}, ReasonUnmapped},
		"another claim":           {"user: { claim: login }", m{"sub": "x", "login": "alice"}, ""},
		"another claim, missing":  {"user: { claim: login }", nil, ReasonClaimMissing},
		"nobody in particular":    {"identifies: nothing", m{"sub": "mallory"}, ""},
		"a certificate":           {"bound_to_certificate: required", nil, ReasonUnbound},
		"a key":                   {"dpop: required", nil, ReasonUnbound},
		"no key":                  {"dpop: off", m{"cnf": m{"jkt": strings.Repeat("A", 43)}}, ReasonConfirmation},
		"a session":               {"session: live", m{"sid": "s1"}, ""},
		"another session":         {"session: live", m{"sid": "s2"}, ReasonSession},
		"no session":              {"session: live", nil, ReasonClaimMissing},
		"its tenant":              {"tenant: corp", nil, ""},
		"another tenant":          {"tenant: acme", nil, ReasonTenant},
		"names its tenant":        {"tenant_claim: org", m{"org": "corp"}, ""},
		"names another tenant":    {"tenant_claim: org", m{"org": "acme"}, ReasonTenant},
		"names no tenant":         {"tenant_claim: org", nil, ReasonClaimMissing},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.more)
			b.world.live["corp/u-alice/s1"] = true
			r := bearer(b.token(with(c.also)))
			if c.why == "" {
				b.good(name, r)
				return
			}
			b.refused(name, r, c.why)
		})
	}
}

// What is wrong with the token itself, its type or who signed it.
func TestTokens(t *testing.T) {
	b := newBench(t, "")
	good := b.token(claims())
	_, rest, _ := strings.Cut(good, ".")
	for name, c := range map[string]struct {
		token string
		why   authn.Reason
	}{
		"as it should be":      {good, ""},
		"type in another way":  {b.signed("application/at+jwt", "k1", b.signer, claims()), ""},
		"no type":              {b.signed("", "k1", b.signer, claims()), ReasonType},
		"JWT":                  {b.signed("JWT", "k1", b.signer, claims()), ReasonType},
		"a proof":              {b.signed("dpop+jwt", "k1", b.signer, claims()), ReasonType},
		"a logout token":       {b.signed("logout+jwt", "k1", b.signer, claims()), ReasonType},
		"another key":          {b.signed("at+jwt", "k1", newKey(t), claims()), jose.ReasonSignature},
		"an unknown key":       {b.signed("at+jwt", "k2", newKey(t), claims()), ReasonKey},
		"no name of a key":     {b.signed("at+jwt", "", b.signer, claims()), ""},
		"no name, other key":   {b.signed("at+jwt", "", newKey(t), claims()), jose.ReasonSignature},
		"unsigned":             {encoded(`{"alg":"none","typ":"at+jwt"}`) + "." + strings.Split(good, ".")[1] + ".", jose.ReasonUnsigned},
		"with a shared secret": {encoded(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`) + "." + rest, jose.ReasonSymmetric},
		"another algorithm":    {encoded(`{"alg":"ES384","typ":"at+jwt","kid":"k1"}`) + "." + rest, jose.ReasonAlgorithm},
		"that and another key": {encoded(`{"alg":"ES384","typ":"at+jwt","kid":"k9"}`) + "." + rest, jose.ReasonAlgorithm},
		"another header":       {encoded(`{"typ":"at+jwt","alg":"ES256","kid":"k1"}`) + "." + rest, jose.ReasonSignature},
		"critical":             {encoded(`{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":["x"]}`) + "." + rest, jose.ReasonCritical},
		"no token":             {"needle", jose.ReasonNotCompact},
		"something behind":     {good + ".", jose.ReasonNotCompact},
		"too large":            {good + strings.Repeat("A", jose.MaxToken), jose.ReasonTooLarge},
	} {
		if c.why == "" {
			b.good(name, bearer(c.token))
			continue
		}
		b.refused(name, bearer(c.token), c.why)
	}
	r := bearer(good)
	r.Carried.Refused = "token_in_query"
	b.refused("in the query", r, "token_in_query")
	b.refused("none", bearer(""), factors.ReasonNoToken)
	r = bearer(good)
	r.Subject = authn.Subject{}
	b.refused("without a tenant", r, ReasonTenant)
	r = bearer(good)
	r.Origin.Tenant = "acme"
	b.refused("at the origin of another tenant", r, ReasonTenant)
}

// A token is good with what it is bound to, and with nothing else.
func TestBindings(t *testing.T) {
	b := newBench(t, "")
	cert, sum := certificate(t)
	other, _ := certificate(t)
	holder, thief := newKey(t), newKey(t)
	toCertificate := b.token(with(map[string]any{"cnf": map[string]any{"x5t#S256": sum}}))
	toKey := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	toBoth := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder), "x5t#S256": sum}}))
	free := b.token(claims())
	early := bearer(toCertificate)
	early.Peer = peer.New(over(bearer(""), cert).Peer.Certificates(), peer.Source{Name: "tls", Early: true}, nil)
	asDPoP, unproven := bearer(free), bearer(toKey)
	asDPoP.Carried.Scheme, unproven.Carried.Scheme = schemeDPoP, schemeDPoP
	downgraded := b.proven(toKey, holder, nil)
	downgraded.Carried.Scheme = schemeBearer
	basic := bearer(free)
	basic.Carried.Scheme = "Basic"
	tests := map[string]struct {
		r   factors.Request
		why authn.Reason
	}{
		"free":                                {bearer(free), ""},
		"free, with some certificate":         {over(bearer(free), other), ""},
		"with its certificate":                {over(bearer(toCertificate), cert), ""},
		"with another certificate":            {over(bearer(toCertificate), other), ReasonOtherCertificate},
		"without a certificate":               {bearer(toCertificate), factors.ReasonNoCertificate},
		"before the handshake":                {early, ReasonEarlyData},
		"with its key":                        {b.proven(toKey, holder, nil), ""},
		"with another key":                    {b.proven(toKey, thief, nil), ReasonProofKey},
		"without a proof":                     {unproven, ReasonProofMissing},
		"bound to a key, as bearer":           {bearer(toKey), ReasonScheme},
		"bound to a key, as bearer, proven":   {downgraded, ReasonScheme},
		"free, as DPoP":                       {asDPoP, ReasonScheme},
		"free, as DPoP, proven":               {b.proven(free, thief, nil), ReasonScheme},
		"another scheme":                      {basic, ReasonScheme},
		"with both":                           {over(b.proven(toBoth, holder, nil), cert), ""},
		"with both, but another certificate":  {over(b.proven(toBoth, holder, nil), other), ReasonOtherCertificate},
		"with the certificate of both, alone": {over(bearer(toBoth), cert), ReasonScheme},
	}
	for _, round := range []string{"new", "remembered"} {
		for _, name := range slices.Sorted(maps.Keys(tests)) {
			if c := tests[name]; c.why != "" {
				b.refused(round+": "+name, c.r, c.why)
			} else if round == "new" || c.r.Carried.Proof == "" {
				b.good(round+": "+name, c.r)
			} else {
				b.refused(round+": "+name, c.r, ReasonProofReplayed)
			}
		}
	}
}
