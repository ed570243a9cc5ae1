// Package oauthtest is an OpenID provider inside a program: for tests of whoever signs people in at one, and for
// demonstrations. It speaks OpenID Connect (discovery, authorization code with PKCE, userinfo, RP-initiated and
// back-channel logout) and pushed authorization requests, knows its users by name and password, keeps its own sessions in the
// browser, and can be told to lie, one [Fault] at a time, so that a client's checks can be seen to work.
//
// A test starts one, points its client at the issuer, and signs people in without a browser:
//
//	p := oauthtest.Start(t, oauthtest.Config{
//		Clients: []oauthtest.Client{{ID: "portal", Secret: "s", RedirectURIs: []string{"https://portal.example/callback"}}},
//		Users:   []oauthtest.User{{Name: "alice", Password: "wonderland"}},
//	})
//	back, err := p.SignIn(ctx, redirectTo, "alice") // the URL that a browser would be sent back to
//
// A program mounts one or several below paths of a server of its own: the issuer's path is where a provider answers.
//
//	mux.Handle("/idp/acme/", oauthtest.New(oauthtest.Config{Issuer: "http://localhost:9000/idp/acme", ...}))
//
// It is no provider for real users: passwords lie in memory as they are, nothing slows whoever guesses them, there is no
// consent, and what it knows ends with the program.
package oauthtest
