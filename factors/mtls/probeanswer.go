package mtls

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
)

var errInterim = errors.New("nothing but interim responses")

// readResponse reads the final response.
func readResponse(in *bufio.Reader) (*http.Response, error) {
	for range 5 {
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode >= 200 || answer.StatusCode == http.StatusSwitchingProtocols {
			return answer, err
		}
	}
	return nil, errInterim
}

// readAnswer reads the answer to a request: of the route, or of somebody on the way.
func readAnswer(r *http.Response, nonce string) probeGot {
	defer r.Body.Close()
	switch s := r.StatusCode; {
	case s == http.StatusOK:
		return readArrived(r, nonce)
	case s == http.StatusNotFound:
		return probeGot{err: fmt.Errorf("%w: not found: there is none at this address, or it has another token", ErrProbeRoute)}
	case s >= 300 && s < 400:
		return probeGot{err: fmt.Errorf("%w: a redirect, which is not followed: give the address of the route itself", ErrProbeRoute)}
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s < 400 || s >= 500:
		return probeGot{err: fmt.Errorf("%w: status %d", ErrProbeRoute, s)}
	default:
		return probeGot{stopped: fmt.Sprintf("status %d", s)}
	}
}

// readArrived reads what the route says of this very request.
func readArrived(r *http.Response, nonce string) probeGot {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxProbeAnswer+1))
	if err != nil {
		return failedWith(err)
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	a := new(probeAnswer)
	switch {
	case len(body) > maxProbeAnswer || kind != "application/json" || json.Unmarshal(body, a) != nil || a.Version != probeVersion || !a.wellFormed():
		return probeGot{err: fmt.Errorf("%w: something else answers at this address", ErrProbeRoute)}
	case a.Nonce != nonce:
		return probeGot{err: fmt.Errorf("%w: the answer is that to another request: a cache answers", ErrProbeRoute)}
	case a.Reads == nil:
		return probeGot{err: fmt.Errorf("%w: the route is not behind mtls.Middleware", ErrProbeRoute)}
	}
	return probeGot{answer: a}
}

// wellFormed reports whether what the answer says can be shown to people.
func (a *probeAnswer) wellFormed() bool {
	for _, s := range append([]string{a.Source, a.Refused, a.Removed}, a.Left...) {
		if len(s) > 200 || !visible(s) {
			return false
		}
	}
	return true
}
