package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"

	"github.com/sallyport-auth/sallyport/authn"
)

// What the engine itself writes to the audit log, beside the occurrences of package authn. The values are stable.
const (
	SessionRefused     authn.Occurrence = "session.refused" // a session that is not in force on this request
	SessionRevoked     authn.Occurrence = "session.revoked"
	AdminRefused       authn.Occurrence = "administration.refused"
	AttemptLocked      authn.Occurrence = "attempt.locked"
	TenantAlarm        authn.Occurrence = "tenant.alarm" // a tenant's budget is used up
	InvitationIssued   authn.Occurrence = "invitation.issued"
	InvitationRevoked  authn.Occurrence = "invitation.withdrawn"
	InvitationRefused  authn.Occurrence = "invitation.refused"
	CredentialRemoved  authn.Occurrence = "credential.removed"
	CredentialRenamed  authn.Occurrence = "credential.renamed"
	CredentialRefused  authn.Occurrence = "credential.refused" // credential.added was said of it, and it was not stored
	CredentialFlagged  authn.Occurrence = "credential.flagged"
	UserCreated        authn.Occurrence = "user.created"
	UserChanged        authn.Occurrence = "user.changed"
	TenantCreated      authn.Occurrence = "tenant.created"
	TenantChanged      authn.Occurrence = "tenant.changed"
	CertificateDenied  authn.Occurrence = "certificate.denied"
	CertificateAllowed authn.Occurrence = "certificate.allowed" // a denial was taken back
	CertificateRefused authn.Occurrence = "certificate.refused" // what was presented as one is not read
	CertificateRemoved authn.Occurrence = "certificate.removed" // headers with one, of somebody who is not the terminator
	NoticeRefused      authn.Occurrence = "notice.refused"      // of an issuer, that something is over
)

// Reasons of the engine's own. They are stable.
const (
	ReasonLocked             authn.Reason = "attempts_used_up"
	ReasonTenantSuspended    authn.Reason = "tenant_suspended"
	ReasonUserSuspended      authn.Reason = "user_suspended"
	ReasonUserGone           authn.Reason = "user_unknown"
	ReasonCredentialRemoved  authn.Reason = "credential_removed"
	ReasonChangedMeanwhile   authn.Reason = "changed_meanwhile"
	ReasonRevokedByOwner     authn.Reason = "revoked_by_owner"
	ReasonRevokedByAdmin     authn.Reason = "revoked_by_administrator"
	ReasonCertificateDenied  authn.Reason = "certificate_denied"
	ReasonClaimDiffers       authn.Reason = "claim_contradicts"
	ReasonInvitationUnknown  authn.Reason = "invitation_unknown"
	ReasonInvitationNotOpen  authn.Reason = "invitation_not_open"
	ReasonInvitationForeign  authn.Reason = "invitation_of_another_user"
	ReasonCertificateRefused authn.Reason = "certificate_refused" // the middleware refused what was presented
	ReasonAuditFailed        authn.Reason = "audit_failed"
	ReasonOutcomeUnknown     authn.Reason = "outcome_unknown" // the store failed, and may or may not have done it
	ReasonChallengeSpent     authn.Reason = "challenge_spent"
	ReasonEndedBefore        authn.Reason = "sessions_were_ended" // all of the user's or tenant's were, after it began
	ReasonRecovered          authn.Reason = "invitation_redeemed" // the user's other sessions end
	ReasonNotAdministrator   authn.Reason = "not_administrator"
	ReasonBelowFloor         authn.Reason = "below_requirement"
	ReasonWithoutCertificate authn.Reason = "without_certificate" // and a token does not make up for it
	ReasonEndedByIssuer      authn.Reason = "ended_by_issuer"     // whoever vouched for it says that it is over
	ReasonNoticeSpent        authn.Reason = "notice_repeated"
)

// record writes events to the store, the log and the sink. A store that cannot take them is an error: a gain that
// nobody can find in the log is not given.
func (e *Engine) record(ctx context.Context, events ...Event) error {
	for i := range events {
		if events[i].At.IsZero() {
			events[i].At = e.now()
		}
		id, err := e.random(12)
		if err != nil {
			return err
		}
		events[i].ID = id
		if len(events[i].Detail) > 512 {
			events[i].Detail = events[i].Detail[:512]
		}
	}
	err := e.store.AddEvents(ctx, events...)
	for _, ev := range events {
		e.logEvent(ctx, ev)
		if err == nil && e.sink != nil {
			e.sink(ctx, ev)
		}
	}
	if err != nil {
		e.log.ErrorContext(ctx, "audit events could not be stored", "error", err)
		return broken("store audit events", err)
	}
	return nil
}

// ordinary are the reasons of what people do all day.
var ordinary = map[authn.Reason]bool{authn.ReasonSignedOut: true, authn.ReasonCancelled: true, authn.ReasonReplaced: true, authn.ReasonExpired: true,
	authn.ReasonIdle: true, ReasonRevokedByOwner: true}

func (e *Engine) logEvent(ctx context.Context, ev Event) {
	level := slog.LevelInfo
	if ev.Reason != "" && !ordinary[ev.Reason] {
		level = slog.LevelWarn
	}
	if !e.log.Enabled(ctx, level) {
		return
	}
	class := ""
	if ev.Class != authn.ClassPerson {
		class = ev.Class.String()
	}
	attrs := make([]slog.Attr, 0, 12)
	for _, a := range [...][2]string{{"reason", string(ev.Reason)}, {"tenant", ev.Tenant}, {"user", ev.User}, {"class", class}, {"name", ev.Name},
		{"method", ev.Method}, {"factor", ev.Factor}, {"login", ev.Login}, {"session", ev.Session}, {"source", ev.Source}, {"by", ev.By}, {"detail", ev.Detail}} {
		if a[1] != "" {
			attrs = append(attrs, slog.String(a[0], a[1]))
		}
	}
	e.log.LogAttrs(ctx, level, string(ev.What), attrs...)
}

// hashName is how a name that belongs to nobody appears in the audit log: the same name looks the same, and nobody can
// read a password that was typed into the wrong field.
func (e *Engine) hashName(name string) string {
	if name == "" {
		return ""
	}
	mac := hmac.New(sha256.New, e.nameKey)
	mac.Write([]byte(name))
	return "name:" + hex.EncodeToString(mac.Sum(nil)[:8])
}
