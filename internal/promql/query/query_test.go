package query_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/promql/query"
)

func TestProblem(t *testing.T) {
	for text, want := range map[string]string{
		"up":                                   "",
		"1":                                    "",
		"sum by (le) (rate(a_bucket[1000ms]))": "",
		"a[5m]":                                "wrap it in rate()",
		`"text"`:                               "answers a string",
		"sum(":                                 "unclosed left parenthesis",
		"rate(a)":                              "range vector",
		"":                                     "no expression found",
	} {
		got := query.Problem(text)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, and %q is wanted", text, got, want)
		}
	}
}
