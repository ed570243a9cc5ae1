package terminator

import (
	"io"
	"net/http"
	"slices"
)

// body removes the terminator's headers from the trailer of a request, which is there once the body has been read.
type body struct {
	io.ReadCloser
	names   *names
	request *http.Request
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.names.remove(b.request.Trailer)
	}
	return n, err
}

// Close implements io.Closer. It may read what is left of the body.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.names.remove(b.request.Trailer)
	return err
}

// removeAll removes the terminator's headers from a request, now and when its trailer comes. It reports whether the trailer
// had announced any.
func (n *names) removeAll(r *http.Request, exact, alias bool) (announced bool) {
	switch {
	case alias:
		n.remove(r.Header)
	case exact:
		for i := range n.list {
			delete(r.Header, n.list[i].exact)
		}
	}
	// Over HTTP/3 nothing says beforehand whether a trailer comes.
	if len(r.Trailer) == 0 && !slices.Contains(r.TransferEncoding, "chunked") && r.ProtoMajor < 3 {
		return false
	}
	exact, alias = n.scan(r.Trailer)
	n.remove(r.Trailer)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{r.Body, n, r}
	}
	return exact || alias
}
