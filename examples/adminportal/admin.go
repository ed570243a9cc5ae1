package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// userRow is a user in the list.
type userRow struct {
	session.User
	Passkeys []factors.Credential
	Invited  bool
}

type usersData struct {
	Users []userRow
	Code  string // of an invitation that was just made: shown once
	Link  string // to the page that takes it
	For   string
	Form  session.NewUser // that was refused
}

func (pg *pages) users(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	q := r.URL.Query() // what was typed before a step-up
	return pg.showUsers(w, r, a, http.StatusOK, "", usersData{Form: session.NewUser{Name: q.Get("name"), Display: q.Get("display")}})
}

func (pg *pages) showUsers(w http.ResponseWriter, r *http.Request, a *session.Admin, status int, problem string, d usersData) error {
	users, err := a.Users(r.Context())
	if err != nil {
		return err
	}
	invitations, err := a.Invitations(r.Context())
	if err != nil {
		return err
	}
	now := pg.portal.engine.Now()
	for _, u := range users {
		credentials, err := a.Credentials(r.Context(), u.ID)
		if err != nil {
			return err
		}
		row := userRow{User: u, Passkeys: credentials}
		row.Invited = slices.ContainsFunc(invitations, func(i session.Invitation) bool { return i.User == u.ID && i.Open(now) })
		d.Users = append(d.Users, row)
	}
	pg.render(w, r, status, "users", page{Title: "Users", Section: "users", Problem: problem, Data: d})
	return nil
}

func (pg *pages) createUser(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	n := session.NewUser{Name: field(w, r, "name"), Display: field(w, r, "display"), Admin: field(w, r, "admin") != ""}
	u, err := a.CreateUser(r.Context(), n)
	switch {
	case errors.Is(err, session.ErrConflict):
		return pg.showUsers(w, r, a, http.StatusConflict, "There is a user of that name already.", usersData{Form: n})
	case errors.Is(err, session.ErrBadRequest):
		return pg.showUsers(w, r, a, http.StatusBadRequest, "That cannot be a login name: up to 64 characters, without spaces.", usersData{Form: n})
	case err != nil:
		return err
	}
	return pg.invite(w, r, a, u.ID)
}

// invite makes an invitation and shows its code, this once.
func (pg *pages) invite(w http.ResponseWriter, r *http.Request, a *session.Admin, user string) error {
	u, err := a.User(r.Context(), user)
	if err != nil {
		return err
	}
	code, err := a.Invite(r.Context(), user, 0)
	if err != nil {
		return err
	}
	link := sessionhttp.From(r.Context()).Request().Origin.URL + "/enrol#" + code
	return pg.showUsers(w, r, a, http.StatusOK, "", usersData{Code: code, Link: link, For: u.Name})
}

func (pg *pages) changeUser(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	id, ctx := chi.URLParam(r, "id"), r.Context()
	var err error
	notice := ""
	switch chi.URLParam(r, "do") {
	case "invite":
		return pg.invite(w, r, a, id)
	case "suspend":
		notice, err = "The user is suspended and signed out everywhere.", a.SetStatus(ctx, id, session.Suspended)
	case "activate":
		notice, err = "The user may sign in again.", a.SetStatus(ctx, id, session.Active)
	case "make-admin":
		notice, err = "The user is an administrator now.", a.SetAdmin(ctx, id, true)
	case "take-admin":
		notice, err = "The user is no administrator any more.", a.SetAdmin(ctx, id, false)
	case "remove-passkey":
		notice, err = "The passkey is removed, and nobody is signed in with it any more.", a.RemoveCredential(ctx, id, field(w, r, "factor"), field(w, r, "id"))
	case "sign-out":
		var n int
		n, err = a.EndUserSessions(ctx, id)
		notice = fmt.Sprintf("Sessions ended: %d.", n)
	default:
		err = session.ErrNotFound
	}
	if err != nil {
		return err
	}
	pg.done(w, r, "/admin/users", notice)
	return nil
}

// invitationRow is an invitation in the list.
type invitationRow struct {
	session.Invitation
	Name  string
	State string
}

func (pg *pages) invitations(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	all, err := a.Invitations(r.Context())
	if err != nil {
		return err
	}
	names, err := userNames(r, a)
	if err != nil {
		return err
	}
	now := pg.portal.engine.Now()
	var rows []invitationRow
	for _, i := range all {
		row := invitationRow{Invitation: i, Name: names[i.User], State: "open"}
		switch {
		case !i.Spent.IsZero():
			row.State = "used"
		case !i.Revoked.IsZero():
			row.State = "withdrawn"
		case !i.Open(now):
			row.State = "expired"
		}
		rows = append(rows, row)
	}
	pg.render(w, r, http.StatusOK, "invitations", page{Title: "Invitations", Section: "invitations", Data: rows})
	return nil
}

func userNames(r *http.Request, a *session.Admin) (map[string]string, error) {
	users, err := a.Users(r.Context())
	names := map[string]string{}
	for _, u := range users {
		names[u.ID] = u.Name
	}
	return names, err
}

func (pg *pages) withdraw(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	if err := a.RevokeInvitation(r.Context(), chi.URLParam(r, "id")); err != nil {
		return err
	}
	pg.done(w, r, "/admin/invitations", "The invitation is withdrawn.")
	return nil
}

// sessionRow is a session in the list.
type sessionRow struct {
	session.Summary
	Certificate string // fingerprint
}

func (pg *pages) sessions(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	all, err := a.Sessions(r.Context(), "")
	if err != nil {
		return err
	}
	pg.render(w, r, http.StatusOK, "sessions", page{Title: "Sessions", Section: "sessions", Data: sessionRows(all)})
	return nil
}

func sessionRows(all []session.Summary) []sessionRow {
	var rows []sessionRow
	for _, s := range all {
		row := sessionRow{Summary: s}
		if tie, ok := s.Principal.Tie(); ok {
			row.Certificate = hex.EncodeToString(tie.Certificate[:])
		}
		rows = append(rows, row)
	}
	return rows
}

func (pg *pages) endSession(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	if err := a.EndSession(r.Context(), chi.URLParam(r, "id")); err != nil {
		return err
	}
	pg.done(w, r, "/admin/sessions", "The session has ended.")
	return nil
}

func (pg *pages) certificates(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	return pg.showCertificates(w, r, a, http.StatusOK, "", certificatesData{Certificate: r.URL.Query().Get("fingerprint"), Note: r.URL.Query().Get("note")})
}

// certificatesData is the deny list, and what is in the form.
type certificatesData struct {
	Denials           []factors.Denial
	Certificate, Note string
}

func (pg *pages) showCertificates(w http.ResponseWriter, r *http.Request, a *session.Admin, status int, problem string, d certificatesData) error {
	all, err := a.Denials(r.Context())
	if err != nil {
		return err
	}
	d.Denials = all
	pg.render(w, r, status, "certificates", page{Title: "Denied certificates", Section: "certificates", Problem: problem, Data: d})
	return nil
}

// deny takes a fingerprint, with or without colons, or a certificate as PEM.
func (pg *pages) deny(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	text, note := field(w, r, "certificate"), field(w, r, "note")
	value := fingerprint(text)
	if pg.isAuthority(text, value) {
		return pg.showCertificates(w, r, a, http.StatusBadRequest, "That is the certificate of an authority: without it nobody would get in. Take it out of the policy instead.",
			certificatesData{Note: note})
	}
	if note == "" {
		note = whose(r, a, text, value)
	}
	err := a.Deny(r.Context(), factors.Denial{By: factors.DenyCertificate, Value: value, Note: note})
	if errors.Is(err, session.ErrConflict) {
		return pg.showCertificates(w, r, a, http.StatusConflict, "That is the certificate that you come with yourself: you would lock yourself out. Another administrator can deny it.",
			certificatesData{Certificate: text, Note: note})
	}
	if errors.Is(err, session.ErrBadRequest) {
		return pg.showCertificates(w, r, a, http.StatusBadRequest, "That is neither a SHA-256 fingerprint (64 hexadecimal digits) nor a certificate.",
			certificatesData{Certificate: text, Note: note})
	}
	if err != nil {
		return err
	}
	pg.done(w, r, "/admin/certificates", "The certificate is denied, and its sessions have ended.")
	return nil
}

// isAuthority reports whether something is a CA's certificate, or the fingerprint of one that the policy names.
func (pg *pages) isAuthority(text, value string) bool {
	if c := certificateIn(text); c != nil && c.IsCA {
		return true
	}
	return slices.ContainsFunc(pg.portal.engine.Policy().Anchors, func(anchor policy.Anchor) bool {
		b, err := os.ReadFile(anchor.CA)
		return err == nil && fingerprint(string(b)) == value
	})
}

// whose says whose certificate something is, where that can be seen.
func whose(r *http.Request, a *session.Admin, text, value string) string {
	if c := certificateIn(text); c != nil && c.Subject.CommonName != "" {
		return "certificate of " + c.Subject.CommonName
	}
	all, err := a.Sessions(r.Context(), "")
	if err != nil {
		return "" // it is a help, no more
	}
	for _, row := range sessionRows(all) {
		if row.Certificate == value {
			return "certificate of " + row.Principal.Names.User
		}
	}
	return ""
}

// certificateIn is a certificate in PEM; nil if it is none.
func certificateIn(text string) *x509.Certificate {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c
}

// fingerprint is that of a certificate in PEM, or what was typed as one, without colons and spaces.
func fingerprint(text string) string {
	if block, _ := pem.Decode([]byte(text)); block == nil {
		return strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	}
	if c := certificateIn(text); c != nil {
		return factors.CertificateDenials(c)[0].Value
	}
	return ""
}

func (pg *pages) allow(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	if err := a.Allow(r.Context(), chi.URLParam(r, "id")); err != nil {
		return err
	}
	pg.done(w, r, "/admin/certificates", "The denial is taken back.")
	return nil
}

// methodData is the picture of the methods of the policy, and its floors.
type methodData struct {
	Methods []picture
	Floors  []floorRow
}

type floorRow struct{ Name, Where, Asks string }

func (pg *pages) method(w http.ResponseWriter, r *http.Request, _ *session.Admin) error {
	p := pg.portal.engine.Policy()
	var d methodData
	for _, m := range p.Methods {
		d.Methods = append(d.Methods, draw(m.Method))
	}
	for _, f := range p.Floors {
		row := floorRow{Name: f.Requirement.Name, Where: f.Route, Asks: asks(f.Requirement)}
		if row.Where == "" {
			row.Where = "everywhere"
		}
		if f.Tenant != "" {
			row.Where += " of " + f.Tenant
		}
		d.Floors = append(d.Floors, row)
	}
	pg.render(w, r, http.StatusOK, "method", page{Title: "How people sign in", Section: "method", Data: d})
	return nil
}

func asks(r authn.Requirement) string {
	var parts []string
	if r.AAL > 0 {
		parts = append(parts, fmt.Sprintf("AAL %d", r.AAL))
	}
	for _, p := range []struct {
		on   bool
		text string
	}{{r.PhishingResistant, "phishing resistant"}, {r.Hardware, "hardware"}, {r.UserVerified, "holder verified"}} {
		if p.on {
			parts = append(parts, p.text)
		}
	}
	if len(r.Factors) > 0 {
		parts = append(parts, strings.Join(r.Factors, " and "))
	}
	if r.MaxAge > 0 {
		parts = append(parts, "no older than "+r.MaxAge.String())
	}
	return strings.Join(parts, ", ")
}
