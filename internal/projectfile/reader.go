package projectfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// reader collects every problem while the tree is read.
type reader struct{ problems Problems }

// problem reports something at a value.
func (r *reader) problem(at *node, path, message, hint string) {
	r.problems = append(r.problems, Problem{Line: at.line, Column: at.column, Path: path, Message: message, Hint: hint})
}

// fault reports what is wrong with a rule at a value, if something is.
func (r *reader) fault(at *node, path string, f *towpath.Fault) {
	if f != nil {
		r.problem(at, path, f.Message, f.Hint)
	}
}

// object reads the fields of a map.
type object struct {
	r    *reader
	path string
	n    *node
}

// object is a map at a path; anything else is reported and read as empty.
func (r *reader) object(path string, n *node) object {
	if n.kind != kindMap {
		r.problem(n, path, fmt.Sprintf("a map is wanted, and this is %s", n.kind), emptyHint(n))
		return object{r: r, path: path, n: &node{kind: kindMap, line: n.line, column: n.column}}
	}
	return object{r: r, path: path, n: n}
}

func emptyHint(n *node) string {
	if n.kind == kindNull {
		return "fill it in, or take the key out"
	}
	return ""
}

func (o object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// only reports the keys that are not known here.
func (o object) only(known ...string) {
	for _, f := range o.n.fields {
		if !slices.Contains(known, f.key) {
			o.r.problems = append(o.r.problems, Problem{Line: f.line, Column: f.column, Path: o.at(f.key),
				Message: fmt.Sprintf("%q is not known here", f.key), Hint: didyoumean.Hint(f.key, known)})
		}
	}
}

// value is a field, placed where its key stands when it has no place itself.
func (o object) value(key string) (*node, bool) { return o.n.get(key) }

// need reports a field that is missing.
func (o object) need(key, hint string) {
	if _, ok := o.value(key); !ok {
		o.r.problem(o.n, o.at(key), key+" is missing", hint)
	}
}

// scalar is a field of a kind; another kind is reported.
func (o object) scalar(key string, want nodeKind, hint string) (*node, bool) {
	n, ok := o.value(key)
	if !ok {
		return nil, false
	}
	if n.kind != want {
		o.r.problem(n, o.at(key), fmt.Sprintf("%s is wanted, and this is %s", want, n.kind), hint)
		return nil, false
	}
	return n, true
}

func (o object) str(key, otherwise string) string {
	n, ok := o.scalar(key, kindString, "put the value in quotes")
	if !ok {
		return otherwise
	}
	return n.text
}

func (o object) boolean(key string) bool {
	n, ok := o.scalar(key, kindBool, "write true or false")
	return ok && n.text == "true"
}

func (o object) integer(key string, otherwise, least, most int) int {
	n, ok := o.scalar(key, kindInt, "")
	if !ok {
		return otherwise
	}
	i, err := strconv.Atoi(n.text)
	if err != nil || i < least || i > most {
		o.r.problem(n, o.at(key), fmt.Sprintf("%s is not between %d and %d", n.text, least, most), "")
		return otherwise
	}
	return i
}

func (o object) number(key string) float64 {
	n, ok := o.value(key)
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if (n.kind != kindInt && n.kind != kindFloat) || err != nil {
		o.r.problem(n, o.at(key), fmt.Sprintf("a number is wanted, and this is %s", n.kind), "")
		return 0
	}
	return f
}

func (o object) duration(key string, otherwise, least, most time.Duration) time.Duration {
	const hint = "write a number and its unit: 30s, 10m, 720h"
	n, ok := o.scalar(key, kindString, hint)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(n.text)
	switch {
	case err != nil || strings.HasPrefix(n.text, "+"):
		o.r.problem(n, o.at(key), fmt.Sprintf("%q is no duration", n.text), hint)
		return otherwise
	case d < least || d > most:
		o.r.problem(n, o.at(key), fmt.Sprintf("%s is not between %s and %s", d, least, most), "")
		return otherwise
	}
	return d
}

// choice is a string out of a few.
func choice[T ~string](o object, key string, otherwise T, known ...T) T {
	n, ok := o.scalar(key, kindString, "")
	if !ok {
		return otherwise
	}
	if !slices.Contains(known, T(n.text)) {
		o.r.problem(n, o.at(key), fmt.Sprintf("%q is not known", n.text), didyoumean.Hint(n.text, known))
		return otherwise
	}
	return T(n.text)
}

// child is a map below a key, if there is one.
func (o object) child(key string) (object, bool) {
	n, ok := o.value(key)
	if !ok {
		return object{}, false
	}
	return o.r.object(o.at(key), n), true
}

// list is the items below a key with their paths.
func (o object) list(key string) []entry {
	n, ok := o.value(key)
	if !ok {
		return nil
	}
	if n.kind != kindList {
		o.r.problem(n, o.at(key), fmt.Sprintf("a list is wanted, and this is %s", n.kind), emptyHint(n))
		return nil
	}
	var out []entry
	for i, item := range n.items {
		out = append(out, entry{path: fmt.Sprintf("%s[%d]", o.at(key), i), n: item})
	}
	return out
}

// entry is an item of a list or a field of a map, and its path.
type entry struct {
	path, key string
	n         *node
	at        *node // where a problem with the key stands
}

// texts are the strings of a list; each may stand there once.
func (o object) texts(key string, unique bool) []entry {
	var out []entry
	for _, e := range o.list(key) {
		if e.n.kind != kindString {
			o.r.problem(e.n, e.path, fmt.Sprintf("a string is wanted, and this is %s", e.n.kind), "put the value in quotes")
			continue
		}
		if unique && slices.ContainsFunc(out, func(x entry) bool { return x.n.text == e.n.text }) {
			o.r.problem(e.n, e.path, fmt.Sprintf("%q stands here a second time", e.n.text), "take one out")
			continue
		}
		out = append(out, e)
	}
	return out
}

// listed are the different strings of a list in a rule of an environment.
func (o object) listed(key string) []entry {
	out := o.texts(key, true)
	if len(out) > towpath.MaxListed {
		o.r.problem(o.n, o.at(key), fmt.Sprintf("there are %d of them, and at most %d are allowed", len(out), towpath.MaxListed), "")
		return nil
	}
	return out
}

// named are the fields of a map whose keys are names that people choose, from
// one to so many. A bad name is reported, and its value read all the same.
func (o object) named(key string, most int) []entry {
	o.need(key, "a project has at least one")
	below, ok := o.child(key)
	if !ok {
		return nil
	}
	if n := len(below.n.fields); n == 0 || n > most {
		if at, _ := o.value(key); at.kind == kindMap {
			o.r.problem(at, o.at(key), fmt.Sprintf("there are %d %s", n, key), fmt.Sprintf("a project has between 1 and %d", most))
		}
		return nil
	}
	var out []entry
	for _, f := range below.n.fields {
		e := entry{path: below.at(f.key), key: f.key, n: f.value, at: &node{line: f.line, column: f.column}}
		o.r.name(e.at, e.path, f.key)
		out = append(out, e)
	}
	return out
}

// name reports what is no name.
func (r *reader) name(at *node, path, name string) {
	r.fault(at, path, towpath.NameFault(name))
}
