package live

import (
	"fmt"
	"html"
	"maps"
	"net/url"
	"regexp"
	"strings"
)

// page is a page with a form, and what the form holds by itself.
type page struct {
	to     string // where the form goes
	values url.Values
}

var (
	formTag   = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?is)<input\b([^>]*)>`)
	attribute = regexp.MustCompile(`(?is)([a-z-]+)\s*=\s*"([^"]*)"`)
)

// parsePage finds the first form of a page. It reads pages of the providers that this package runs, and is no reader of HTML.
func parsePage(at *url.URL, text string) (page, error) {
	m := formTag.FindStringSubmatch(text)
	if m == nil {
		return page{}, fmt.Errorf("live: a page without a form at %s:\n%s", at.Path, text)
	}
	to, err := at.Parse(attributes(m[1])["action"])
	if err != nil {
		return page{}, fmt.Errorf("live: a form at %s that goes nowhere: %w", at.Path, err)
	}
	p := page{to: to.String(), values: url.Values{}}
	for _, input := range inputTag.FindAllStringSubmatch(m[2], -1) {
		if a := attributes(input[1]); a["name"] != "" && a["type"] != "checkbox" {
			p.values.Set(a["name"], a["value"])
		}
	}
	return p, nil
}

// filledIn is what the form sends with some answers.
func (p page) filledIn(answers url.Values) url.Values {
	all := maps.Clone(p.values)
	maps.Copy(all, answers)
	return all
}

func attributes(tag string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		all[strings.ToLower(m[1])] = html.UnescapeString(m[2])
	}
	return all
}
