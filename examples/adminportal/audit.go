package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// auditPage is how many events a page of the trail shows.
const auditPage = 50

// auditData is a page of the audit trail.
type auditData struct {
	Events  []session.Event
	Names   map[string]string // of users, by id
	Filter  session.EventFilter
	Newest  string // the query of the first page; empty: this is it
	Older   string // the query of the next page; empty: this is the last
	Choices []occurrence
}

// occurrence is something that happens, in words, and whether somebody was refused.
type occurrence struct {
	What    authn.Occurrence
	Text    string
	Refusal bool
}

var occurrences = []occurrence{
	{authn.LoginBegun, "Sign-in begun", false},
	{authn.LoginReplaced, "Sign-in begun anew", false},
	{authn.LoginCancelled, "Sign-in cancelled", false},
	{authn.LoginRefused, "Sign-in refused", true},
	{authn.LoginFinished, "Signed in", false},
	{authn.FactorPassed, "Proof accepted", false},
	{authn.FactorFailed, "Proof refused", true},
	{authn.StepUpBegun, "Step-up begun", false},
	{authn.StepUpFinished, "Stepped up", false},
	{authn.StepUpRefused, "Step-up refused", true},
	{authn.WorkflowBegun, "Enrolment begun", false},
	{authn.WorkflowFinished, "Enrolment finished", false},
	{authn.WorkflowCancelled, "Enrolment cancelled", false},
	{authn.CredentialAdded, "Credential added", false},
	{session.CredentialRemoved, "Credential removed", false},
	{session.CredentialRenamed, "Credential renamed", false},
	{session.CredentialRefused, "Credential not stored", true},
	{session.CredentialFlagged, "Credential blocked", true},
	{authn.SessionEnded, "Session ended", false},
	{session.SessionRevoked, "Session ended from elsewhere", false},
	{session.SessionRefused, "Session refused", true},
	{session.AttemptLocked, "Attempts used up", true},
	{session.TenantAlarm, "Attempts of the tenant used up", true},
	{session.InvitationIssued, "Invitation issued", false},
	{session.InvitationRevoked, "Invitation withdrawn", false},
	{session.InvitationRefused, "Invitation refused", true},
	{session.UserCreated, "User created", false},
	{session.UserChanged, "User changed", false},
	{session.TenantCreated, "Tenant created", false},
	{session.TenantChanged, "Tenant changed", false},
	{session.CertificateDenied, "Certificate denied", false},
	{session.CertificateAllowed, "Certificate allowed again", false},
}

// inWords finds an occurrence. One that has no words here yet speaks for itself.
func inWords(what authn.Occurrence) occurrence {
	for _, o := range occurrences {
		if o.What == what {
			return o
		}
	}
	return occurrence{what, strings.NewReplacer(".", " ", "_", " ").Replace(string(what)), false}
}

func (pg *pages) audit(w http.ResponseWriter, r *http.Request, a *session.Admin) error {
	q := r.URL.Query()
	f := session.EventFilter{What: authn.Occurrence(q.Get("what")), Name: q.Get("name"), Reason: authn.Reason(q.Get("reason")), Before: q.Get("before"),
		Portal: q.Get("portal") != "", Limit: auditPage + 1}
	events, err := a.Events(r.Context(), f)
	if err != nil {
		return err
	}
	d := auditData{Events: events, Filter: f, Choices: occurrences}
	if d.Names, err = userNames(r, a); err != nil {
		return err
	}
	if len(events) > auditPage {
		d.Events = events[:auditPage]
		d.Older = with(q, "before", d.Events[auditPage-1].ID)
	}
	if f.Before != "" {
		d.Newest = with(q, "before", "")
	}
	pg.render(w, r, http.StatusOK, "audit", page{Title: "Audit trail", Section: "audit", Data: d})
	return nil
}

// with is a query with one member changed; an empty value leaves it out.
func with(q url.Values, key, value string) string {
	changed := url.Values{}
	for k, v := range q {
		if len(v) > 0 && v[0] != "" {
			changed.Set(k, v[0])
		}
	}
	changed.Set(key, value)
	if value == "" {
		changed.Del(key)
	}
	return "?" + changed.Encode()
}
