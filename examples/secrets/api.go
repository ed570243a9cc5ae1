package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"
	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

const (
	maxValue = 64 << 10 // bytes of a value
	maxBody  = 6*maxValue + 1024
)

// names are what a secret may be called.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// api answers the calls. Every one of them is authenticated by itself.
type api struct {
	vault    *vault
	sessions *sessionhttp.Sessions
	log      *slog.Logger
	now      func() time.Time
}

func (a *api) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(mtls.Middleware(mtls.FromTLS()), a.sessions.Middleware)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, sessionhttp.CodeNotFound, "There is no such thing.")
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusMethodNotAllowed, sessionhttp.CodeBadRequest, "This cannot be done here.")
	})
	read, write := a.sessions.RequireEach(sessionhttp.Scope(readScope)), a.sessions.RequireEach(sessionhttp.Scope(writeScope))
	r.With(read).Get("/v1/secrets", a.call(a.list))
	r.With(read).Get("/v1/secrets/{name}", a.call(a.get))
	r.With(write).Put("/v1/secrets/{name}", a.call(a.put))
	r.With(write).Delete("/v1/secrets/{name}", a.call(a.remove))
	return r
}

// problem is what a call answers that cannot be done (RFC 9457).
type problem struct {
	status int
	code   sessionhttp.Code
	title  string
}

func (p *problem) Error() string { return p.title }

func refuse(w http.ResponseWriter, status int, code sessionhttp.Code, title string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": title, "status": status, "code": code})
}

func (a *api) call(do func(w http.ResponseWriter, r *http.Request, tenant, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, _ := sessionhttp.Principal(r.Context())
		name := chi.URLParam(r, "name")
		err := error(&problem{http.StatusBadRequest, sessionhttp.CodeBadRequest, "A name is 1 to 128 letters, digits, '.', '_' and '-', and begins with a letter or digit."})
		if name == "" || names.MatchString(name) {
			err = do(w, r, who.Subject.Tenant, name)
		}
		var p *problem
		switch {
		case err == nil:
		case errors.As(err, &p):
			refuse(w, p.status, p.code, p.title)
		case errors.Is(err, errNoSecret):
			refuse(w, http.StatusNotFound, sessionhttp.CodeNotFound, "There is no such secret.")
		default:
			a.log.ErrorContext(r.Context(), "a secret could not be read or written", "error", err, "method", r.Method)
			refuse(w, http.StatusServiceUnavailable, sessionhttp.CodeUnavailable, "The service cannot do this now.")
		}
		a.log.InfoContext(r.Context(), "call", "method", r.Method, "secret", name, "user", who.Names.User, "tenant", who.Subject.Tenant, "failed", err != nil)
	}
}

func answer(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody is left to tell
	return nil
}

func (a *api) list(w http.ResponseWriter, r *http.Request, tenant, _ string) error {
	all, err := a.vault.list(r.Context(), tenant)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]any{"secrets": all})
}

func (a *api) get(w http.ResponseWriter, r *http.Request, tenant, name string) error {
	s, err := a.vault.get(r.Context(), tenant, name)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, s)
}

func (a *api) put(w http.ResponseWriter, r *http.Request, tenant, name string) error {
	value, err := readValue(w, r)
	if err != nil {
		return err
	}
	s, created, err := a.vault.put(r.Context(), tenant, name, value, a.now())
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answer(w, status, map[string]any{"name": s.Name, "created_at": s.Created, "updated_at": s.Updated})
}

func (a *api) remove(w http.ResponseWriter, r *http.Request, tenant, name string) error {
	if err := a.vault.remove(r.Context(), tenant, name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

var (
	errShape = &problem{http.StatusBadRequest, sessionhttp.CodeBadRequest, `The body is one JSON object: {"value": "…"}.`}
	errLarge = &problem{http.StatusRequestEntityTooLarge, sessionhttp.CodeTooLarge, "A value has at most 64 KiB."}
	errType  = &problem{http.StatusUnsupportedMediaType, sessionhttp.CodeBadRequest, "The body must be application/json."}
)

// readValue reads the body of a put, strictly.
func readValue(w http.ResponseWriter, r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", errType
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return "", errLarge
	}
	if err != nil {
		return "", errShape
	}
	var in struct {
		Value *string `json:"value"`
	}
	if strict.Unmarshal(b, &in, strict.RejectUnknownMembers(true)) != nil || in.Value == nil {
		return "", errShape
	}
	if len(*in.Value) > maxValue {
		return "", errLarge
	}
	return *in.Value, nil
}
