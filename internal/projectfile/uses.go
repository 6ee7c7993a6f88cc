package projectfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds on what is used from outside.
const (
	maxUses     = 100 // of one component
	maxUnpinned = 100 // exceptions from being pinned
)

// readUses reads what a component uses from outside the repository, by name.
func readUses(o object) []towpath.Use {
	x, ok := o.child("uses")
	if !ok {
		return nil
	}
	if len(x.n.fields) > maxUses {
		x.r.problem(x.n, x.path, fmt.Sprintf("there are %d entries, and at most %d are allowed", len(x.n.fields), maxUses), "take out what is not used")
		return nil
	}
	var out []towpath.Use
	for _, f := range x.n.fields {
		at := &node{line: f.line, column: f.column}
		x.r.name(at, x.at(f.key), f.key)
		u := towpath.Use{Name: f.key, Line: f.line}
		var ok bool
		if u.Reference, ok = readUse(x.r, entry{path: x.at(f.key), key: f.key, n: f.value, at: at}); ok {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b towpath.Use) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// useHint shows the three forms.
const useHint = "write one of {image: ghcr.io/team/app:1.2}, {chart: {repository: …, name: …, version: …}}, {module: {source: …, version: …}}"

func readUse(r *reader, e entry) (ref towpath.External, ok bool) {
	o := r.object(e.path, e.n)
	o.only("image", "chart", "module")
	if e.n.kind == kindMap && len(e.n.fields) != 1 {
		r.problem(e.at, e.path, fmt.Sprintf("it names %d things, and has to name one", len(e.n.fields)), useHint)
		return ref, false
	}
	before := len(r.problems)
	var err error
	at := e.n
	switch {
	case o.has("image"):
		n, isText := o.scalar("image", kindString, "put the image in quotes")
		if !isText {
			return ref, false
		}
		at = n
		ref, err = pin.Image(n.text)
	case o.has("chart"):
		x, _ := o.child("chart")
		x.only("repository", "name", "version")
		x.need("repository", "say where it lies: https://charts.example.com or oci://ghcr.io/charts")
		x.need("name", "name the chart")
		x.need("version", `say which: "19.0.2", or a range as in "^19"`)
		ref, err = pin.Chart(x.str("repository", ""), x.str("name", ""), x.str("version", ""))
	case o.has("module"):
		x, _ := o.child("module")
		x.only("source", "version")
		x.need("source", "say where it lies: git::https://…?ref=v1.2.0 or namespace/name/provider")
		ref, err = pin.Module(x.str("source", ""), x.str("version", ""))
	default:
		return ref, false
	}
	if err != nil && len(r.problems) == before { // what is missing was said
		r.problem(at, e.path, err.Error(), useHint)
	}
	return ref, err == nil
}

// has says that a field is there, whatever it holds.
func (o object) has(key string) bool {
	_, ok := o.value(key)
	return ok
}

// readPins reads which references may move all the same.
func readPins(o object) []towpath.PinException {
	x, ok := o.child("pins")
	if !ok {
		return nil
	}
	x.only("exceptions")
	items := x.list("exceptions")
	if len(items) > maxUnpinned {
		x.r.problem(items[0].n, x.at("exceptions"), fmt.Sprintf("there are %d entries, and at most %d are allowed", len(items), maxUnpinned), "lock what can be locked")
		return nil
	}
	var out []towpath.PinException
	for _, e := range items {
		p := readPinException(x.r, e)
		if slices.ContainsFunc(out, func(q towpath.PinException) bool { return q.Path == p.Path && q.Reference == p.Reference }) {
			x.r.problem(e.n, e.path, "there is an entry for this already", "take one out")
		}
		out = append(out, p)
	}
	return out
}

func readPinException(r *reader, e entry) towpath.PinException {
	o := r.object(e.path, e.n)
	o.only("reference", "path", "reason", "until")
	o.need("reason", "say why it may move: whoever approves reads it")
	o.need("until", "say until when: an exception ends")
	p := towpath.PinException{Reference: o.str("reference", ""), Until: readDate(o, "until")}
	if n, ok := o.scalar("reason", kindString, "put the reason in quotes"); ok {
		if p.Reason = strings.TrimSpace(n.text); p.Reason == "" || strings.ContainsAny(n.text, "\n\r") {
			r.problem(n, o.at("reason"), "the reason is no sentence", "say on one line why it may move")
		}
	}
	if n, ok := o.scalar("path", kindString, ""); ok {
		p.Path = r.glob(n, o.at("path"), n.text)
		if !o.has("reference") && p.Path != "" && strings.Trim(p.Path, "*/") == "" {
			r.problem(n, o.at("path"), "this would except every reference everywhere", "name a folder or a file, or one reference")
		}
	}
	if e.n.kind == kindMap && !o.has("path") && p.Reference == "" {
		r.problem(e.n, e.path, "it says neither which reference nor which files", "write reference: as `towpath lock` names it, or path:, or both")
	}
	return p
}
