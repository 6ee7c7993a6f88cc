package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestExperimentOf(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"prices.json": `{"currency": "EUR", "request": 0.5}`, "typo.json": `{"curency": "EUR"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &session{}
	s.flags.dir = dir
	match := func(m ...towpath.TrafficMatch) towpath.Experiment { return towpath.Experiment{Match: m} }
	for _, c := range []struct {
		name  string
		given experimentOptions
		want  towpath.Experiment
		says  string // in its message
		hint  string
	}{
		{name: "a header", given: experimentOptions{match: []string{"header:X-Beta=1"}}, want: match(towpath.TrafficMatch{Header: "X-Beta", Exact: "1"})},
		{name: "a cookie by an expression", given: experimentOptions{match: []string{"cookie:beta~^(yes|on)$"}}, want: match(towpath.TrafficMatch{Cookie: "beta", Regex: "^(yes|on)$"})},
		{name: "the first sign decides", given: experimentOptions{match: []string{"header:Q=a~b", "header:Q~a=b"}}, want: match(towpath.TrafficMatch{Header: "Q", Exact: "a~b"}, towpath.TrafficMatch{Header: "Q", Regex: "a=b"})},
		{name: "a value with a colon", given: experimentOptions{match: []string{"header:Origin=https://shop"}}, want: match(towpath.TrafficMatch{Header: "Origin", Exact: "https://shop"})},
		{name: "neither header nor cookie", given: experimentOptions{match: []string{"X-Beta=1"}}, says: `--match "X-Beta=1" is neither`, hint: "--match header:X-Beta=1"},
		{name: "no name", given: experimentOptions{match: []string{"header:=1"}}, says: "is neither", hint: "--match header:X-Beta=1"},
		{name: "no value", given: experimentOptions{match: []string{"cookie:beta="}}, says: "is neither", hint: "--match header:X-Beta=1"},
		{name: "an expression that is none", given: experimentOptions{match: []string{"cookie:beta~(on"}}, says: "missing closing )", hint: "write = instead of ~"},
		{name: "a cookie of ours", given: experimentOptions{sticky: "cookie"}, want: towpath.Experiment{Sticky: &towpath.TrafficSticky{Cookie: stickyCookie}}},
		{name: "a cookie of theirs", given: experimentOptions{sticky: "cookie:variant"}, want: towpath.Experiment{Sticky: &towpath.TrafficSticky{Cookie: "variant"}}},
		{name: "a header to stay by", given: experimentOptions{sticky: "header:X-User"}, want: towpath.Experiment{Sticky: &towpath.TrafficSticky{Header: "X-User"}}},
		{name: "a header without a name", given: experimentOptions{sticky: "header"}, says: `--sticky is "header"`, hint: "--sticky header:X-User"},
		{name: "something else to stay by", given: experimentOptions{sticky: "ip"}, says: "may be cookie, cookie:NAME or header:NAME", hint: "--sticky cookie"},
		{name: "measures", given: experimentOptions{more: []string{"orders=a{b=\"c\"}"}, less: []string{"clicks=d"}}, want: towpath.Experiment{Measures: []towpath.Measure{
			{Name: "orders", Query: `a{b="c"}`, Better: "more"}, {Name: "clicks", Query: "d", Better: "less"},
		}}},
		{name: "a measure without a query", given: experimentOptions{less: []string{"clicks"}}, says: `--less "clicks" is not NAME=QUERY`, hint: "{{revision}}"},
		{name: "a measure without a name", given: experimentOptions{more: []string{"=d"}}, says: "is not NAME=QUERY", hint: "{{revision}}"},
		{name: "prices", given: experimentOptions{prices: "prices.json"}, want: towpath.Experiment{Prices: &towpath.Prices{Currency: "EUR", Request: 0.5}}},
		{name: "prices with a typo", given: experimentOptions{prices: "typo.json"}, says: `unknown field "curency"`, hint: `"currency": "EUR"`},
		{name: "prices that are not there", given: experimentOptions{prices: "none.json"}, says: "can't be read", hint: "it is JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.given.share, c.given.length = 20, time.Hour
			c.want.Share, c.want.For = 20, time.Hour
			got, err := s.experimentOf(c.given)
			if c.says == "" {
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("read %+v, %v", got, err)
				}
				return
			}
			if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("it says %v", err)
			}
			if _, hint := towpath.PublicMessage(err); !strings.Contains(hint, c.hint) {
				t.Errorf("the hint is %q", hint)
			}
		})
	}
}
