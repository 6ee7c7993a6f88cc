package promql

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/towpath/towpath/internal/towpath"
)

// bind has every selector of a query select series of a target's project,
// environment and component only, by the labels that the server gives all
// samples. One that names another of them selects nothing.
func bind(query string, of towpath.Target) (string, error) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return "", refused("metrics.query", err.Error())
	}
	ours := []*labels.Matcher{
		{Type: labels.MatchEqual, Name: "project", Value: string(of.Project)},
		{Type: labels.MatchEqual, Name: "environment", Value: string(of.Environment)},
		{Type: labels.MatchEqual, Name: "component", Value: string(of.Component)},
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			s.LabelMatchers = append(s.LabelMatchers, ours...)
		}
		return nil
	})
	return expr.String(), nil
}
