package projectfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Filename is what the file is called, in the root of a repository.
const Filename = "towpath.yaml"

// maxProblems bounds a report; what is beyond it would not be read.
const maxProblems = 200

// Problem is one thing wrong with a file.
type Problem struct {
	Line    int    `json:"line"`   // 1 is the first
	Column  int    `json:"column"` // 1 is the first
	Path    string `json:"path"`   // "components.api.kind"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String is "towpath.yaml:12:5: components.api.kind: … (…)".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", Filename, p.Line, p.Column)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems is every problem of a file, in the order of the file. It is an
// error, and to [errors.As] a [*towpath.Error] of KindInvalid.
type Problems []Problem

// Error is one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// As makes the problems the project's one error type.
func (p Problems) As(target any) bool {
	e, ok := target.(**towpath.Error)
	if ok {
		*e = p.invalid()
	}
	return ok
}

func (p Problems) invalid() *towpath.Error {
	if len(p) == 1 {
		e := towpath.E(towpath.KindInvalid, "projectfile.parse", "%s is not valid: %s", Filename, p[0].withoutHint())
		return e.WithHint("%s", cmp.Or(p[0].Hint, "correct the file; towpath schema prints its JSON Schema"))
	}
	return towpath.E(towpath.KindInvalid, "projectfile.parse", "%s has %d problems:\n%s", Filename, len(p), p.Error()).
		WithHint("correct the file; towpath schema prints its JSON Schema")
}

func (p Problem) withoutHint() string { p.Hint = ""; return p.String() }

// sorted is the problems in the order of the file, each once.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	p = slices.Compact(p)
	if len(p) > maxProblems {
		rest := len(p) - maxProblems
		p = append(p[:maxProblems:maxProblems], Problem{Line: p[maxProblems].Line, Column: p[maxProblems].Column,
			Message: fmt.Sprintf("there are %d more problems", rest), Hint: "correct these first"})
	}
	return p
}
