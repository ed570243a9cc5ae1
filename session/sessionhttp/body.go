package sessionhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/session"
)

// maxBody bounds the body of every call, in bytes.
const maxBody = 64 << 10

var (
	errMediaType    = errors.New("sessionhttp: the body must be application/json")
	errTooLarge     = errors.New("sessionhttp: the body is larger than 64 KiB")
	errUnreadable   = fmt.Errorf("sessionhttp: the body cannot be read: %w", session.ErrBadRequest)
	errNotThisShape = fmt.Errorf("sessionhttp: the body is not what this call takes: %w", session.ErrBadRequest)
)

// readBody reads a JSON object into v, strictly: one value, valid UTF-8, no name twice, none that v does not know. With
// optional, no body at all is {}.
func readBody(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	if r.ContentLength > maxBody {
		return errTooLarge
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return errTooLarge
	}
	if err != nil {
		return errUnreadable
	}
	if len(b) == 0 && optional {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errMediaType
	}
	if !bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte{'{'}) { // null would be an empty object
		return errNotThisShape
	}
	if err := json.Unmarshal(b, v, json.RejectUnknownMembers(true)); err != nil {
		return errNotThisShape
	}
	return nil
}
