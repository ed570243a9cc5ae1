package sessionhttp

import (
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// Document is the state document: what GET session answers.
type Document struct {
	State     authn.StateKind     `json:"state"`
	Login     *LoginDocument      `json:"login,omitempty"`
	Workflow  string              `json:"workflow,omitempty"`
	Tenant    string              `json:"tenant,omitempty"` // of a workflow
	User      string              `json:"user,omitempty"`
	Factors   []string            `json:"factors,omitempty"` // that the workflow may enrol
	ExpiresAt *time.Time          `json:"expires_at,omitempty"`
	Principal *PrincipalDocument  `json:"principal,omitempty"`
	Device    *PrincipalDocument  `json:"device,omitempty"` // beneath a person
	StepUp    *StepUpDocument     `json:"step_up,omitempty"`
	Onboard   *OnboardingDocument `json:"onboarding,omitempty"` // a workflow above a device
}

// LoginDocument shows a login under way. User is there only once evidence named it.
type LoginDocument struct {
	Method    string    `json:"method"`
	Tenant    string    `json:"tenant,omitempty"`
	User      string    `json:"user,omitempty"`
	Done      []string  `json:"done"`
	Next      []string  `json:"next"`
	ExpiresAt time.Time `json:"expires_at"`
}

// StepUpDocument shows a step-up under way.
type StepUpDocument struct {
	Next      []string  `json:"next"`
	ExpiresAt time.Time `json:"expires_at"`
}

// OnboardingDocument shows the workflow of an invitation above a device.
type OnboardingDocument struct {
	Workflow  string    `json:"workflow"`
	User      string    `json:"user,omitempty"`
	Factors   []string  `json:"factors"`
	ExpiresAt time.Time `json:"expires_at"`
}

// PrincipalDocument shows a principal.
type PrincipalDocument struct {
	Tenant            string           `json:"tenant"`
	User              string           `json:"user"`
	Class             string           `json:"class,omitempty"` // device or workload; of a person it is not there
	Method            string           `json:"method"`
	Factors           []FactorDocument `json:"factors"`
	AMR               []string         `json:"amr"`
	AAL               int              `json:"aal"`
	PhishingResistant bool             `json:"phishing_resistant"`
	Scopes            []string         `json:"scopes,omitempty"`     // of a token
	Attributes        attributes       `json:"attributes,omitempty"` // that issuers gave
	AuthenticatedAt   time.Time        `json:"authenticated_at"`
	ExpiresAt         time.Time        `json:"expires_at"`
}

type attributes map[string][]string

// FactorDocument shows one piece of evidence.
type FactorDocument struct {
	Name string    `json:"name"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
}

// DocumentOf is the state document of a state.
func DocumentOf(state authn.State) Document {
	d := Document{State: state.Kind()}
	switch st := state.(type) {
	case authn.Authenticating:
		d.Login = loginDocument(st.Login)
	case authn.Pending:
		o := st.Onboarding
		expires := o.Login.Deadline.UTC()
		d.Workflow, d.Tenant, d.User, d.Factors, d.ExpiresAt = o.Workflow, o.Login.Names.Tenant, o.Login.Names.User, o.Factors, &expires
	case authn.Authenticated:
		d.authenticated(st)
	case authn.Ended:
		d.State = authn.KindGuest // the caller of an ended session is nobody
	}
	return d
}

func (d *Document) authenticated(a authn.Authenticated) {
	p := PrincipalOf(a.Principal())
	d.Principal = &p
	if device, ok := a.Device(); ok {
		if _, person := a.Person(); person {
			p := PrincipalOf(device)
			d.Device = &p
		}
	}
	switch r := a.Running().(type) {
	case authn.StepUp:
		d.StepUp = &StepUpDocument{Next: next(r.Login), ExpiresAt: r.Login.Deadline.UTC()}
	case authn.SignOn:
		d.Login = loginDocument(r.Login)
	case authn.Onboarding:
		d.Onboard = &OnboardingDocument{Workflow: r.Workflow, User: r.Login.Names.User, Factors: r.Factors, ExpiresAt: r.Login.Deadline.UTC()}
	}
}

func loginDocument(l authn.Login) *LoginDocument {
	d := &LoginDocument{Method: l.Method.Name, Tenant: l.Names.Tenant, Done: l.Done(), Next: next(l), ExpiresAt: l.Deadline.UTC()}
	if l.Subject.User != "" {
		d.User = l.Names.User
	}
	return d
}

func next(l authn.Login) []string {
	step, ok := l.Next()
	if !ok {
		return []string{}
	}
	return step.Names()
}

// PrincipalOf is the document of a principal.
func PrincipalOf(p authn.Principal) PrincipalDocument {
	a := p.Assurance()
	d := PrincipalDocument{Tenant: p.Names.Tenant, User: p.Names.User, Method: p.Method.Name, AMR: a.AMR, AAL: a.AAL,
		PhishingResistant: a.PhishingResistant, Scopes: p.Scopes(), Attributes: p.Attributes(), AuthenticatedAt: p.AuthenticatedAt().UTC(), ExpiresAt: p.Deadline.UTC(), Factors: []FactorDocument{}}
	if p.Subject.Class != authn.ClassPerson {
		d.Class = p.Subject.Class.String()
	}
	for _, e := range p.All() {
		d.Factors = append(d.Factors, FactorDocument{Name: e.Factor, Kind: e.Kind, At: e.At.UTC()})
	}
	return d
}

// credentialDocument shows a credential to its owner.
type credentialDocument struct {
	ID        string     `json:"id"`
	Factor    string     `json:"factor"`
	Kind      string     `json:"kind"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"last_used_at,omitempty"`
	Flagged   bool       `json:"flagged,omitempty"` // it is no longer accepted
}

func credentialOf(c factors.Credential) credentialDocument {
	d := credentialDocument{ID: c.ID, Factor: c.Factor, Kind: c.Kind, Name: c.Name, CreatedAt: c.Created.UTC(), Flagged: c.Flagged != ""}
	if !c.Used.IsZero() {
		used := c.Used.UTC()
		d.UsedAt = &used
	}
	return d
}

// sessionDocument shows a session to its owner.
type sessionDocument struct {
	ID        string         `json:"id"`
	Current   bool           `json:"current"`
	Method    string         `json:"method"`
	CreatedAt time.Time      `json:"created_at"`
	SeenAt    time.Time      `json:"last_seen_at"`
	ExpiresAt time.Time      `json:"expires_at"`
	Client    clientDocument `json:"client"`
}

// clientDocument shows where a session is used from.
type clientDocument struct {
	Source string `json:"source,omitempty"` // address
	Agent  string `json:"agent,omitempty"`
}

func sessionOf(s session.Summary) sessionDocument {
	return sessionDocument{ID: s.ID, Current: s.Current, Method: s.Principal.Method.Name, CreatedAt: s.Created.UTC(), SeenAt: s.Seen.UTC(),
		ExpiresAt: s.Principal.Deadline.UTC(), Client: clientDocument{s.Client.Source, s.Client.Agent}}
}
