package sessionhttp

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/session"
)

// Why Middleware turns a request away before anything looks at it.
var (
	errForeignHost = fmt.Errorf("sessionhttp: no origin of the policy has this host: %w", session.ErrBadRequest)
	errUncleanPath = fmt.Errorf("sessionhttp: the path can be read in more than one way: %w", session.ErrBadRequest)
	errCrossOrigin = errors.New("sessionhttp: the request comes from another origin")
)

// turnBack answers a request that gets no further than Middleware. Where a browser shows the answer, it is a page.
func (m *Sessions) turnBack(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errForeignHost) {
		var origins []string
		for _, o := range m.engine.Policy().Origins {
			origins = append(origins, o.URL)
		}
		m.engine.Log().WarnContext(r.Context(), "a request for a host that no origin of the policy has", "origins", origins, "host", printable(r.Host))
	}
	p := ProblemOf(err)
	if !acceptsPage(r) {
		p.write(w, m.engine.Now())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	setPrivate(w.Header())
	w.WriteHeader(p.Status)
	_, _ = w.Write([]byte(m.page(err))) // the client went away: nobody is left to tell
}

// printable is what a client sent, as it may stand in a log: no longer than 100 bytes, and nothing but printable ASCII.
func printable(v string) string {
	quoted := strconv.QuoteToASCII(v[:min(len(v), 100)])
	return quoted[1 : len(quoted)-1]
}

// page says to a person what to do instead. It needs nothing besides itself, and repeats nothing of the request.
func (m *Sessions) page(err error) string {
	title, text := "This address is not understood", "It holds something that can be read in more than one way. Begin at"
	href, name := "/", "the start page"
	switch {
	case errors.Is(err, errForeignHost):
		title, text, href = "There is nothing at this address", "Whoever runs this server: the policy's origins are the only addresses that it answers at.", ""
		if main := m.engine.Policy().Origins[0]; main.Tenant == "" {
			text, href, name = text+" Everybody else: go to", main.URL+"/", main.URL+"/"
		}
	case errors.Is(err, errCrossOrigin):
		title, text = "This was not carried out", "The request came from another site. If you meant it, do it here, from"
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n" +
		"<meta name=\"color-scheme\" content=\"light dark\">\n<title>" + title + "</title>\n<h1>" + title + "</h1>\n<p>" + text)
	if href != "" {
		fmt.Fprintf(&b, " <a href=\"%s\">%s</a>.", html.EscapeString(href), html.EscapeString(name))
	}
	b.WriteString("</p>\n")
	return b.String()
}

func acceptsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// hostOf is the host of a request in lower case (RFC 9110 section 4.2.3). Only ASCII has another case here: what other
// scripts fold to it is another host.
func hostOf(r *http.Request) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, r.Host)
}
