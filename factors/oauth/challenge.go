package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// lifetime is how long somebody may take at the provider. The login's own end comes first if it is earlier.
const lifetime = 10 * time.Minute

// Challenge implements factors.Challenger: the address of the provider's page to sign in at.
func (f *Factor) Challenge(ctx context.Context, r factors.Request) (factors.Challenge, error) {
	tenant, err := f.tenantOf(r)
	if err != nil {
		return factors.Challenge{}, err
	}
	return f.ask(ctx, r, envelope{Purpose: forLogin, Tenant: tenant, User: r.Subject.User})
}

// ask sends the browser to the tenant's provider.
func (f *Factor) ask(ctx context.Context, r factors.Request, e envelope) (factors.Challenge, error) {
	var none factors.Challenge
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	p, err := f.providerOf(e.Tenant)
	if err != nil {
		return none, err
	}
	if p.client.plain != nil && r.MaxAge > 0 {
		return none, factors.Reject(ReasonAuthTime, "plain OAuth 2.0 never says when somebody signed in")
	}
	about, err := p.about(ctx, r.Now)
	if err != nil {
		return none, err
	}
	if err := p.client.suits(about); err != nil {
		return none, err
	}
	if err := f.fill(&e, p.client, about, r); err != nil {
		return none, err
	}
	address, err := p.address(ctx, about, e, r.Now)
	if err != nil {
		return none, err
	}
	data, err := e.encode()
	if err == nil && len(data) > maxData {
		err = errors.New("more settings than a challenge can keep")
	}
	if err != nil {
		return none, fmt.Errorf("oauth: %w", err)
	}
	return factors.Challenge{RedirectTo: address, Data: data, Lifetime: lifetime}, nil
}

// fill pins what the answer will be held to.
func (f *Factor) fill(e *envelope, c *client, about metadata, r factors.Request) (err error) {
	e.Origin, e.Issuer, e.ClientID = r.Origin.URL, c.issuer, c.id
	e.Token, e.NamesIss = about.Token, about.NamesItself
	if e.Own = c.ownRedirect(about); e.Own {
		e.Redirect = f.redirectURI(r.Origin, e.Tenant)
	} else if e.Redirect = f.redirectURI(r.Origin, ""); !about.NamesItself && len(f.providers) > 1 {
		return errors.New("oauth: the provider does not name itself in responses, so that it cannot share a redirect URI with others")
	}
	if age := youngest(c.maxAge, r.MaxAge); age > 0 {
		e.MaxAge = max(1, int64(age/time.Second))
	}
	e.ACR = c.acr
	for _, to := range []*string{&e.State, &e.Nonce, &e.Verifier} {
		if *to, err = f.random(); err != nil {
			return err
		}
	}
	if c.plain != nil {
		e.Nonce = ""
	}
	return nil
}

// youngest is the least of some maximum ages, of which zero is none.
func youngest(ages ...time.Duration) (least time.Duration) {
	for _, a := range ages {
		if a > 0 && (least == 0 || a < least) {
			least = a
		}
	}
	return least
}

// request is the client as x/oauth2 has it.
func (c *client) request(authorization, token, redirect string) *oauth2.Config {
	style := oauth2.AuthStyleInParams
	if c.proof.basic() {
		style = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{ClientID: c.id, ClientSecret: c.proof.secret.reveal(), RedirectURL: redirect, Scopes: c.scopes,
		Endpoint: oauth2.Endpoint{AuthURL: authorization, TokenURL: token, AuthStyle: style}}
}

// options are the parameters of the request (OpenID Connect Core section 3.1.2.1) beside those that x/oauth2 knows.
func (c *client) options(e envelope) []oauth2.AuthCodeOption {
	all := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(e.Verifier)}
	add := func(name, value string) {
		if value != "" {
			all = append(all, oauth2.SetAuthURLParam(name, value))
		}
	}
	add("nonce", e.Nonce)
	add("prompt", c.prompt)
	add("acr_values", strings.Join(e.ACR, " "))
	if e.MaxAge > 0 {
		add("max_age", strconv.FormatInt(e.MaxAge, 10))
	}
	return all
}

// address is where to send the browser: with the request in the query, or pushed before where the provider takes that.
func (p *provider) address(ctx context.Context, about metadata, e envelope, now time.Time) (string, error) {
	c := p.client
	whole := c.request(about.Authorization, about.Token, e.Redirect).AuthCodeURL(e.State, c.options(e)...)
	if about.Pushed == "" || c.par == "off" {
		return whole, nil
	}
	_, query, _ := strings.Cut(c.request("", "", e.Redirect).AuthCodeURL(e.State, c.options(e)...), "?")
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("oauth: %w", err)
	}
	return p.push(ctx, about, parameters, now)
}

// Answers implements factors.Addressed.
func (f *Factor) Answers(credential json.RawMessage, asked factors.Asked) bool {
	c, err := parseCallback(credential)
	if err != nil {
		return false
	}
	e, err := decodeEnvelope(asked.Data)
	return err == nil && same(c.state, e.State)
}
