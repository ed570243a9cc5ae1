package jose

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// claim is a claims set with one claim, x, written like that.
func claim(t *testing.T, written string) Claims {
	t.Helper()
	c, err := ParseClaims([]byte(`{"x":` + written + `}`))
	if err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	return c
}

func TestTimes(t *testing.T) {
	for written, want := range map[string]time.Time{
		"0":                      time.Unix(0, 0),
		"1":                      time.Unix(1, 0),
		"1900000000":             time.Unix(1900000000, 0),
		"1900000000.5":           time.Unix(1900000000, 5e8),
		"1900000000.000000001":   time.Unix(1900000000, 1),
		"1900000000.120000000":   time.Unix(1900000000, 12e7),
		"253402300799":           time.Unix(253402300799, 0),
		"253402300799.999999999": time.Unix(253402300799, 999999999),
	} {
		got, present, err := claim(t, written).Time("x")
		if err != nil || !present || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v %v %v", written, got, present, err)
		}
	}
	for written, want := range map[string]authn.Reason{
		"-1": ReasonClaimTime, "-0": ReasonClaimTime, "-0.5": ReasonClaimTime,
		"1e3": ReasonClaimTime, "1E3": ReasonClaimTime, "1.5e9": ReasonClaimTime, "1e400": ReasonClaimTime, "0e0": ReasonClaimTime,
		"253402300800": ReasonClaimTime, "999999999999": ReasonClaimTime, "9223372036854775808": ReasonClaimTime,
		"1900000000000":           ReasonClaimTime, // milliseconds
		"18446744073709551617":    ReasonClaimTime, // 1, for whoever lets it overflow
		strings.Repeat("9", 5000): ReasonClaimTime, "0.0000000000": ReasonClaimTime, "1." + strings.Repeat("1", 100): ReasonClaimTime,
		`"1900000000"`: ReasonClaimType, `""`: ReasonClaimType, `"never"`: ReasonClaimType, `"NaN"`: ReasonClaimType, "null": ReasonClaimType,
		"true": ReasonClaimType, "[1900000000]": ReasonClaimType, "{}": ReasonClaimType,
	} {
		got, present, err := claim(t, written).Time("x")
		if !present || !got.IsZero() {
			t.Errorf("%.40s: %v %v", written, got, present)
		}
		wantFault(t, err, want)
	}
}

// accessors read claim x each in its way, and say what they make of it.
var accessors = map[string]func(Claims) (any, bool, error){
	"String":          func(c Claims) (any, bool, error) { v, p, err := c.String("x"); return v, p, err },
	"StringOrStrings": func(c Claims) (any, bool, error) { v, p, err := c.StringOrStrings("x"); return v, p, err },
	"Strings":         func(c Claims) (any, bool, error) { v, p, err := c.Strings("x"); return v, p, err },
	"Bool":            func(c Claims) (any, bool, error) { v, p, err := c.Bool("x"); return v, p, err },
	"Time":            func(c Claims) (any, bool, error) { v, p, err := c.Time("x"); return v.Unix(), p, err },
	"Object":          func(c Claims) (any, bool, error) { v, p, err := c.Object("x"); return v.Names(), p, err },
}

func TestEachTypeIsReadAsItself(t *testing.T) {
	want := map[string]map[string]string{ // the rest is of the wrong type
		`"a"`:                      {"String": "a", "StringOrStrings": "[a]"},
		`""`:                       {"String": "", "StringOrStrings": "[]"},
		`"\"\\\u00e4\ud83d\ude00"`: {"String": "\"\\ä😀", "StringOrStrings": "[\"\\ä😀]"},
		`["a","b"]`:                {"StringOrStrings": "[a b]", "Strings": "[a b]"},
		`["\u0061"]`:               {"StringOrStrings": "[a]", "Strings": "[a]"},
		`[]`:                       {"StringOrStrings": "[]", "Strings": "[]"},
		`["a",1]`:                  {},
		`["a",null]`:               {},
		`[["a"]]`:                  {},
		`[{"a":1}]`:                {},
		`{"a":1}`:                  {"Object": "[a]"},
		`{}`:                       {"Object": "[]"},
		`{"Aud":1}`:                {}, // confusable, see below
		`true`:                     {"Bool": "true"},
		`false`:                    {"Bool": "false"},
		`"true"`:                   {"String": "true", "StringOrStrings": "[true]"},
		`1`:                        {"Time": "1"},
		`0`:                        {"Time": "0"},
		`null`:                     {},
	}
	for written, readable := range want {
		c := claim(t, written)
		for name, read := range accessors {
			got, present, err := read(c)
			text, good := readable[name]
			switch {
			case !present:
				t.Errorf("%s as %s: absent", written, name)
			case good && (err != nil || fmt.Sprint(got) != text):
				t.Errorf("%s as %s: %v %v, want %s", written, name, got, err, text)
			case !good && written == `{"Aud":1}` && name == "Object":
				wantFault(t, err, ReasonFolded)
			case !good:
				wantFault(t, err, ReasonClaimType)
			}
		}
		if string(c.Raw("x")) != written || !c.Has("x") {
			t.Errorf("%s: raw %s", written, c.Raw("x"))
		}
	}
}

func TestAbsentClaimsAreNoFault(t *testing.T) {
	c, err := ParseClaims([]byte(`{"y":{"x":1},"X":"other"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range accessors {
		for _, c := range []Claims{c, {}} {
			if _, present, err := read(c); present || err != nil {
				t.Errorf("%s: %v %v", name, present, err)
			}
		}
	}
	if c.Has("x") || c.Raw("x") != nil {
		t.Error("x is there")
	}
	if names := c.Names(); !slices.Equal(names, []string{"y", "X"}) {
		t.Errorf("names: %v", names)
	}
}

func TestAudiencesAreBounded(t *testing.T) {
	some := `["a"` + strings.Repeat(`,"a"`, maxAudiences-1) + `]`
	if all, _, err := claim(t, some).StringOrStrings("x"); err != nil || len(all) != maxAudiences {
		t.Error(len(all), err)
	}
	_, _, err := claim(t, `["a"`+strings.Repeat(`,"a"`, maxAudiences)+`]`).StringOrStrings("x")
	wantFault(t, err, ReasonClaimType)
}

func TestEveryClaimWithAMeaningHasNoTwin(t *testing.T) {
	for _, name := range claimNames {
		if _, err := ParseClaims([]byte(`{"` + name + `":1}`)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, twin := range []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], `\u00` + fmt.Sprintf("%02x", name[0]) + name[1:]} {
			_, err := ParseClaims([]byte(`{"` + twin + `":1}`))
			wantFault(t, err, ReasonFolded)
			_, err = ParseClaims([]byte(`{"` + name + `":1,"` + twin + `":1}`))
			if why := reasonOf(err); why != ReasonFolded && why != ReasonDuplicate {
				t.Errorf("%s beside %s: %v", twin, name, err)
			}
		}
	}
}
