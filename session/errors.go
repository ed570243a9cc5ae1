package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// What callers may learn of a refusal. Why it was refused is in the audit log alone. Besides these the engine returns
// [ErrNotFound], [ErrConflict], [*LockedError], [*InsufficientError] and, where nothing could be decided,
// [*UnavailableError].
var (
	ErrInvalidCredential   = errors.New("session: the credential was not accepted")
	ErrNotAuthenticated    = errors.New("session: nobody is signed in")
	ErrLoginExpired        = errors.New("session: the login has run out of time")
	ErrCertificateRequired = errors.New("session: a client certificate is required")
	ErrForbidden           = errors.New("session: not allowed")
	ErrWrongStep           = errors.New("session: this is not the step that is open")
	ErrBadRequest          = errors.New("session: the request makes no sense")
)

// LockedError says that a budget of attempts is used up.
type LockedError struct{ Until time.Time }

func (e *LockedError) Error() string { return "session: too many attempts" }

// InsufficientError says that the session must be stepped up first, and to what (RFC 9470).
type InsufficientError struct{ Want authn.Requirement }

func (e *InsufficientError) Error() string { return "session: more must be proven first" }

// UnavailableError says that our side is broken and nothing was decided. Its text is for operators.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "session: unavailable: " + e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

// broken makes an error of a store or factor what callers get, keeping the conditions that have a meaning of their own.
func broken(doing string, err error) error {
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return err
	}
	return &UnavailableError{fmt.Errorf("%s: %w", doing, err)}
}
