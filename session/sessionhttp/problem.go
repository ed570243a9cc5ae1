package sessionhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// Code is the stable code of a problem document. It says what to do next and never what was wrong.
type Code string

const (
	CodeInvalidCredential   Code = "invalid_credential"
	CodeNotAuthenticated    Code = "not_authenticated"
	CodeLoginExpired        Code = "login_expired"
	CodeInsufficient        Code = "insufficient_user_authentication" // RFC 9470
	CodeCertificateRequired Code = "client_certificate_required"
	CodeForbidden           Code = "forbidden"
	CodeCrossOrigin         Code = "cross_origin"
	CodeNotFound            Code = "not_found"
	CodeWrongStep           Code = "wrong_step"
	CodeConflict            Code = "conflict"
	CodeTooLarge            Code = "too_large"
	CodeBadRequest          Code = "bad_request"
	CodeLocked              Code = "locked"
	CodeUnavailable         Code = "unavailable"
)

// Problem is a problem document (RFC 9457).
type Problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Code   Code    `json:"code"`
	StepUp *wanted `json:"step_up,omitempty"` // what to ask of the step-up call
	retry  time.Time
}

// wanted is the body of the step-up call.
type wanted struct {
	Factors           []string `json:"factors,omitempty"`
	AAL               int      `json:"aal,omitempty"`
	PhishingResistant bool     `json:"phishing_resistant,omitempty"`
	Hardware          bool     `json:"hardware,omitempty"`
	UserVerified      bool     `json:"user_verified,omitempty"`
	MaxAge            *int     `json:"max_age,omitempty"` // seconds
}

var titles = map[Code]string{
	CodeInvalidCredential:   "That was not accepted. Begin again, or ask an administrator.",
	CodeNotAuthenticated:    "Sign in first.",
	CodeLoginExpired:        "The sign-in took too long. Begin again.",
	CodeInsufficient:        "Confirm with a stronger or fresher credential first.",
	CodeCertificateRequired: "A client certificate is required here.",
	CodeForbidden:           "This is not allowed.",
	CodeCrossOrigin:         "Requests from other sites are refused.",
	CodeNotFound:            "There is no such thing.",
	CodeWrongStep:           "This is not the step that is open.",
	CodeConflict:            "It changed in the meantime, or cannot be done as things are.",
	CodeTooLarge:            "The request is too large.",
	CodeBadRequest:          "The request makes no sense here.",
	CodeLocked:              "Too many attempts. Wait, then try again.",
	CodeUnavailable:         "The service cannot decide this now. Nothing was changed.",
}

func problem(status int, code Code) Problem {
	return Problem{Type: "about:blank", Title: titles[code], Status: status, Code: code}
}

// ProblemOf is the problem document of an engine's error. Whatever it does not know is "unavailable": nothing was decided.
func ProblemOf(err error) Problem {
	var locked *session.LockedError
	var insufficient *session.InsufficientError
	switch {
	case errors.As(err, &locked):
		p := problem(http.StatusTooManyRequests, CodeLocked)
		p.retry = locked.Until
		return p
	case errors.As(err, &insufficient):
		p := problem(http.StatusUnauthorized, CodeInsufficient)
		p.StepUp = wantOf(insufficient.Want)
		return p
	}
	for _, known := range [...]struct {
		err    error
		status int
		code   Code
	}{
		{session.ErrInvalidCredential, http.StatusUnauthorized, CodeInvalidCredential},
		{session.ErrNotAuthenticated, http.StatusUnauthorized, CodeNotAuthenticated},
		{session.ErrLoginExpired, http.StatusUnauthorized, CodeLoginExpired},
		{session.ErrCertificateRequired, http.StatusForbidden, CodeCertificateRequired},
		{session.ErrForbidden, http.StatusForbidden, CodeForbidden},
		{session.ErrNotFound, http.StatusNotFound, CodeNotFound},
		{session.ErrWrongStep, http.StatusConflict, CodeWrongStep},
		{session.ErrConflict, http.StatusConflict, CodeConflict},
		{session.ErrBadRequest, http.StatusBadRequest, CodeBadRequest},
		{errMediaType, http.StatusUnsupportedMediaType, CodeBadRequest},
		{errTooLarge, http.StatusRequestEntityTooLarge, CodeTooLarge},
		{errCrossOrigin, http.StatusForbidden, CodeCrossOrigin},
	} {
		if errors.Is(err, known.err) {
			return problem(known.status, known.code)
		}
	}
	return problem(http.StatusServiceUnavailable, CodeUnavailable)
}

func wantOf(r authn.Requirement) *wanted {
	w := &wanted{Factors: r.Factors, AAL: r.AAL, PhishingResistant: r.PhishingResistant, Hardware: r.Hardware, UserVerified: r.UserVerified}
	if r.MaxAge > 0 {
		seconds := int(r.MaxAge / time.Second)
		w.MaxAge = &seconds
	}
	return w
}

// challenge is the WWW-Authenticate value of RFC 9470 section 3.
func (p Problem) challenge() string {
	v := `Bearer error="insufficient_user_authentication"`
	if p.StepUp.AAL > 0 {
		v += fmt.Sprintf(`, acr_values="aal%d"`, p.StepUp.AAL)
	}
	if p.StepUp.MaxAge != nil {
		v += fmt.Sprintf(`, max_age="%d"`, *p.StepUp.MaxAge)
	}
	return v
}

// ofTheBody are the headers that may have been set for a body which is not sent.
var ofTheBody = [...]string{"Content-Length", "Content-Encoding", "Content-Disposition", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified", "Location", "Trailer"}

// write answers with the problem document. now is for Retry-After.
func (p Problem) write(w http.ResponseWriter, now time.Time) {
	h := w.Header()
	for _, name := range ofTheBody {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	setPrivate(h)
	if p.StepUp != nil {
		h.Set("WWW-Authenticate", p.challenge())
	}
	if p.Code == CodeLocked {
		seconds := int(p.retry.Sub(now)/time.Second) + 1
		h.Set("Retry-After", strconv.Itoa(max(seconds, 1)))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away: nobody is left to tell
}
