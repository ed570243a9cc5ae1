package live

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

// form is a form of a page, with what it holds by itself.
type form struct {
	action string // empty: the page's own address
	values url.Values
}

var (
	formTag   = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?is)<input\b([^>]*)>`)
	attribute = regexp.MustCompile(`(?is)([a-z-]+)\s*=\s*"([^"]*)"`)
)

// firstForm finds the first form of a page. It reads pages of the providers that this package runs, and is no reader of HTML.
func firstForm(page string) (form, bool) {
	m := formTag.FindStringSubmatch(page)
	if m == nil {
		return form{}, false
	}
	f := form{action: attributes(m[1])["action"], values: url.Values{}}
	for _, input := range inputTag.FindAllStringSubmatch(m[2], -1) {
		if a := attributes(input[1]); a["name"] != "" && a["type"] != "checkbox" {
			f.values.Set(a["name"], a["value"])
		}
	}
	return f, true
}

func attributes(tag string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		all[strings.ToLower(m[1])] = html.UnescapeString(m[2])
	}
	return all
}
