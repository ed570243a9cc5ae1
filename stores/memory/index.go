package memory

import (
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/session"
)

// index finds the selectors of living rows by what they belong to.
type index map[indexKey]map[string]struct{}

type indexKey struct {
	what   byte // 't', 'p', 'd', 'c', 'h', 'i'
	tenant string
	id     string
}

func keysOf(id string, i session.Index) []indexKey {
	keys := make([]indexKey, 0, 4+len(i.Certificates)+len(i.Handles))
	if id != "" {
		keys = append(keys, indexKey{'i', "", id})
	}
	if i.Tenant != "" {
		keys = append(keys, indexKey{'t', i.Tenant, ""})
		if i.Person != "" {
			keys = append(keys, indexKey{'p', i.Tenant, i.Person})
		}
		if i.Device != "" {
			keys = append(keys, indexKey{'d', i.Tenant, i.Device})
		}
	}
	for _, c := range i.Certificates {
		keys = append(keys, indexKey{'c', "", string(c[:])})
	}
	for _, h := range i.Handles {
		keys = append(keys, indexKey{'h', "", string(h[:])})
	}
	return keys
}

// keyOf picks the narrowest index for a match that names no selector; false: it selects nothing.
func keyOf(m session.Match) (indexKey, bool, error) {
	switch {
	case m.ID != "":
		return indexKey{'i', "", m.ID}, true, nil
	case m.Certificate != nil:
		return indexKey{'c', "", string(m.Certificate[:])}, true, nil
	case m.Handle != nil:
		return indexKey{'h', "", string(m.Handle[:])}, true, nil
	case m.Tenant == "" && (m.Person != "" || m.Device != ""):
		return indexKey{}, false, errors.New("memory: a user of no tenant is to be matched")
	case m.Tenant == "":
		return indexKey{}, false, nil
	case m.Person != "":
		return indexKey{'p', m.Tenant, m.Person}, true, nil
	case m.Device != "":
		return indexKey{'d', m.Tenant, m.Device}, true, nil
	}
	return indexKey{'t', m.Tenant, ""}, true, nil
}

func (x index) add(r *session.Row) {
	for _, k := range keysOf(r.ID, r.Index) {
		if x[k] == nil {
			x[k] = map[string]struct{}{}
		}
		x[k][r.Selector] = struct{}{}
	}
}

func (x index) remove(r *session.Row) {
	for _, k := range keysOf(r.ID, r.Index) {
		delete(x[k], r.Selector)
		if len(x[k]) == 0 {
			delete(x, k)
		}
	}
}

func sameIndex(a, b session.Index) bool {
	return a.Tenant == b.Tenant && a.Person == b.Person && a.Device == b.Device &&
		slices.Equal(a.Certificates, b.Certificates) && slices.Equal(a.Handles, b.Handles)
}

// agrees reports whether a row lives and every set field of m is the row's.
func agrees(r *session.Row, m session.Match) bool {
	return r.Ended.IsZero() && r.Selector != m.Except &&
		(m.Selector == "" || m.Selector == r.Selector) &&
		(m.ID == "" || m.ID == r.ID) &&
		(!m.Principals || r.Index.Principal) &&
		(m.Tenant == "" || m.Tenant == r.Index.Tenant) &&
		(m.Person == "" || m.Person == r.Index.Person) &&
		(m.Device == "" || m.Device == r.Index.Device) &&
		(m.Certificate == nil || slices.Contains(r.Index.Certificates, *m.Certificate)) &&
		(m.Handle == nil || slices.Contains(r.Index.Handles, *m.Handle))
}
