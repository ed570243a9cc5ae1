package factortest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// broken is a good credential after something was done to it.
type broken struct {
	what       string
	credential json.RawMessage
	hint       bool // it was done to a member that may say anything
}

// misshapen are texts that are no credentials, or no JSON.
func misshapen(good json.RawMessage) []broken {
	const large = 1 << 20
	all := []broken{
		{what: "a credential that is missing"},
		{what: "an empty credential", credential: json.RawMessage{}},
		{what: fmt.Sprintf("a credential of %d letters", large), credential: bytes.Repeat([]byte("a"), large)},
		{what: `a good credential with "{}" behind it`, credential: append(slices.Clone(good), "{}"...)},
	}
	for _, text := range []string{"null", "{}", "[]", `"x"`, "1"} {
		all = append(all, broken{what: "the credential " + text, credential: json.RawMessage(text)})
	}
	for _, n := range []int{len(good) / 2, len(good) - 1} {
		all = append(all, broken{what: fmt.Sprintf("a good credential cut after %d of its %d bytes", n, len(good)), credential: good[:n]})
	}
	for i := 0; i < len(good); i += max(1, len(good)/64) {
		if bytes.IndexByte([]byte(`{}[],:" `), good[i]) < 0 {
			continue // another letter in a name that nobody reads may be as good
		}
		zeroed := slices.Clone(good)
		zeroed[i] = 0
		all = append(all, broken{what: fmt.Sprintf("a good credential with a zero for its byte %d (%q)", i, good[i]), credential: zeroed})
	}
	return all
}

// misread are credentials in the form of a good one in which one member is another. It is for misshapen to say that a
// credential is no JSON.
func misread(good json.RawMessage, hints []string) []broken {
	root, err := decode(good)
	if err != nil {
		return nil
	}
	same, err := json.Marshal(root)
	if err != nil {
		return nil
	}
	var all []broken
	changes(root, "", func(path, what string, root any) {
		text, err := json.Marshal(root)
		if err != nil || bytes.Equal(text, same) { // what is zero already stays so
			return
		}
		hint := slices.ContainsFunc(hints, func(h string) bool { return path == h || strings.HasPrefix(path, h+".") })
		if path == "" {
			path = "the credential itself"
		}
		all = append(all, broken{what: fmt.Sprintf("a good credential, but %s %s", path, what), credential: text, hint: hint})
	})
	return all
}

// changes calls yield with each changed form of a value.
func changes(v any, path string, yield func(path, what string, changed any)) {
	within := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			with := func(value any) map[string]any {
				other := maps.Clone(v)
				other[key] = value
				return other
			}
			at := within(key)
			missing := maps.Clone(v)
			delete(missing, key)
			if !hollow(v[key]) {
				yield(at, "is missing", missing)
				yield(at, "is null", with(nil))
			}
			yield(at, "is of another type", with(retyped(v[key])))
			changes(v[key], at, func(path, what string, changed any) { yield(path, what, with(changed)) })
		}
	case []any:
		for i := range v {
			yield(within(strconv.Itoa(i)), "is missing", slices.Delete(slices.Clone(v), i, i+1))
			changes(v[i], within(strconv.Itoa(i)), func(path, what string, changed any) {
				other := slices.Clone(v)
				other[i] = changed
				yield(path, what, other)
			})
		}
	case string:
		rewordings(v, path, func(path, what, changed string) { yield(path, what, changed) })
	case bool:
		yield(path, fmt.Sprintf("is %t", !v), !v)
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			yield(path, "is one more", json.Number(n.Add(n, big.NewInt(1)).String()))
			yield(path, "is zero", json.Number(zeroOrOne(v)))
		}
	}
}

func zeroOrOne(v json.Number) string {
	if v == "0" {
		return "1"
	}
	return "0"
}

// hollow reports whether a value says nothing, so that leaving it out is no change.
func hollow(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	case json.Number:
		return v == "0"
	}
	return false
}

// retyped is a value of another type.
func retyped(v any) any {
	if _, ok := v.(map[string]any); ok {
		return "x"
	}
	return map[string]any{}
}

// rewordings calls yield with other texts in the place of one. Where it encodes bytes, it is the bytes that change, so
// that the text stays as well-formed as it was.
func rewordings(text, path string, yield func(path, what, changed string)) {
	if text == "" {
		yield(path, "is a text", "x")
		return
	}
	yield(path, "is empty", "")
	if parts := strings.Split(text, "."); len(parts) > 2 && !slices.ContainsFunc(parts, func(p string) bool { return p != "" && codingOf(p) == nil }) {
		for i, part := range parts { // a token
			rewordings(part, path, func(path, what, changed string) {
				other := slices.Clone(parts)
				other[i] = changed
				yield(path, fmt.Sprintf("in its part %d %s", i+1, what), strings.Join(other, "."))
			})
		}
		return
	}
	code := codingOf(text)
	if code == nil {
		reletter(text, path, yield)
		return
	}
	b, _ := code.decode(text)
	if inner, err := decode(b); err == nil && hasMembers(inner) {
		changes(inner, path, func(path, what string, changed any) {
			if b, err := json.Marshal(changed); err == nil {
				yield(path, what+" in its "+code.name, code.encode(b))
			}
		})
		yield(path, "ends early in its "+code.name, code.encode(b[:len(b)-1]))
		return
	}
	for _, i := range spread(len(b)) {
		for _, bit := range []byte{1, 0x80} {
			flipped := bytes.Clone(b)
			flipped[i] ^= bit
			yield(path, fmt.Sprintf("has bit %#02x of byte %d of %d flipped in its %s", bit, i, len(b), code.name), code.encode(flipped))
		}
	}
	yield(path, fmt.Sprintf("is all zero in its %s", code.name), code.encode(make([]byte, len(b))))
	yield(path, fmt.Sprintf("has a byte less in its %s", code.name), code.encode(b[:len(b)-1]))
	yield(path, fmt.Sprintf("has a byte more in its %s", code.name), code.encode(append(bytes.Clone(b), 0)))
}

// reletter changes letters of a text into others of their sort.
func reletter(text, path string, yield func(path, what, changed string)) {
	letters := []rune(text)
	for _, i := range spread(len(letters)) {
		other := slices.Clone(letters)
		switch r := letters[i]; {
		case r == '9', r == 'z', r == 'Z':
			other[i]--
		case r >= '0' && r < '9', r >= 'a' && r < 'z', r >= 'A' && r < 'Z':
			other[i]++
		default:
			other[i] = 'x'
		}
		yield(path, fmt.Sprintf("has another letter at %d of %d", i, len(letters)), string(other))
	}
	yield(path, "has a letter less", string(letters[:len(letters)-1]))
	yield(path, "has a letter more", text+"0")
}

// spread are up to eight places among n, the first and the last among them.
func spread(n int) []int {
	const most = 8
	if n <= most {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	var some []int
	for i := range most {
		some = append(some, i*(n-1)/(most-1))
	}
	return some
}

// coding is a way of writing bytes as text.
type coding struct {
	name   string
	encode func([]byte) string
	decode func(string) ([]byte, error)
}

var codings = []*coding{
	{"hex", hex.EncodeToString, hex.DecodeString},
	{"hex", func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }, hex.DecodeString},
	{"base64url", base64.RawURLEncoding.EncodeToString, base64.RawURLEncoding.Strict().DecodeString},
	{"base64url", base64.URLEncoding.EncodeToString, base64.URLEncoding.Strict().DecodeString},
	{"base64", base64.StdEncoding.EncodeToString, base64.StdEncoding.Strict().DecodeString},
	{"base64", base64.RawStdEncoding.EncodeToString, base64.RawStdEncoding.Strict().DecodeString},
}

// codingOf finds the first coding that a text may be in, nil if there is none. A word may look like one, and is changed as
// well if it is changed as that; numbers that people type stay numbers.
func codingOf(text string) *coding {
	const digits, most = "0123456789", 16
	if len(text) < most && strings.Trim(text, digits) == "" {
		return nil
	}
	for _, c := range codings {
		if b, err := c.decode(text); err == nil && c.encode(b) == text {
			return c
		}
	}
	return nil
}

func hasMembers(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return v, nil
}

// rewritten is a credential that says the same in other words.
func rewritten(good json.RawMessage) (json.RawMessage, error) {
	v, err := decode(good)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(v, "", " ")
}
