// Package query says whether a text is a query in PromQL, before anybody is
// asked: when a project's file is read. It knows no source. It is a package of
// its own, so that reading a file does not need an engine.
package query

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Problem is what is wrong with a query that has to answer one value a series;
// empty when nothing is. Placeholders must have been filled in.
func Problem(text string) string {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		var all parser.ParseErrors
		if errors.As(err, &all) && len(all) > 0 {
			return strings.TrimSpace(all[0].Err.Error())
		}
		return err.Error()
	}
	switch kind := expr.Type(); kind {
	case parser.ValueTypeVector, parser.ValueTypeScalar:
		return ""
	case parser.ValueTypeMatrix:
		return "it answers a range of values, and one value of each series is wanted: wrap it in rate() or increase()"
	default:
		return fmt.Sprintf("it answers a %s, and one value of each series is wanted", kind)
	}
}
