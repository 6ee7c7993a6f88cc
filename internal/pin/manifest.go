package pin

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits on a YAML file.
const (
	maxDepth = 100
	maxNodes = 200_000 // with aliases expanded
)

var errYAML = errors.New("it is YAML that can't be read, and may name images")

// Shallow says that a file is not nested deeper than a recursive parser
// survives.
func Shallow(src []byte) bool { return shallowTokens(lexer.Tokenize(string(src))) }

func shallowTokens(tokens token.Tokens) bool {
	depth, line, entries := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			entries++
		}
		if depth > maxDepth || entries > maxDepth {
			return false
		}
	}
	return true
}

// manifests finds the references of a file's YAML documents.
func manifests(base string, src []byte) (out []Found, err error) {
	defer func() { // the parser is somebody else's, and its input is untrusted
		if p := recover(); p != nil {
			out, err = nil, errYAML
		}
	}()
	tokens := lexer.Tokenize(string(src))
	if !shallowTokens(tokens) {
		return nil, errYAML
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, errYAML
	}
	for _, d := range file.Docs {
		r := &document{anchors: map[string]ast.Node{}}
		top := r.fields(d.Body)
		switch {
		case base == "Chart.yaml":
			r.chart(top)
		case composeName.MatchString(base):
			r.compose(top)
		case r.text(top["apiVersion"]) != "" && r.text(top["kind"]) != "":
			r.kubernetes("", d.Body, 0)
		}
		if r.nodes > maxNodes {
			return nil, errYAML
		}
		out = append(out, r.found...)
	}
	return out, nil
}

// document reads one YAML document.
type document struct {
	anchors map[string]ast.Node
	nodes   int
	found   []Found
}

// value follows anchors and aliases to what stands there.
func (r *document) value(n ast.Node) ast.Node {
	for range maxDepth {
		switch x := n.(type) {
		case *ast.AnchorNode:
			r.anchors[x.Name.GetToken().Value] = x.Value
			n = x.Value
		case *ast.AliasNode:
			n = r.anchors[x.Value.GetToken().Value]
		case *ast.TagNode:
			n = x.Value
		default:
			return n
		}
	}
	return nil
}

// fields are those of a map, those that are merged into it too.
func (r *document) fields(n ast.Node) map[string]ast.Node {
	m, ok := r.value(n).(ast.MapNode)
	if !ok {
		return nil
	}
	out := map[string]ast.Node{}
	var merged []map[string]ast.Node
	for iter := m.MapRange(); iter.Next(); {
		if r.nodes++; r.nodes > maxNodes {
			return out
		}
		if iter.Key().IsMergeKey() {
			merged = append(merged, r.fields(iter.Value()))
			continue
		}
		r.value(iter.Value()) // an anchor is known from here on
		out[keyOf(iter.Key())] = iter.Value()
	}
	for _, m := range merged {
		for k, v := range m {
			if _, has := out[k]; !has {
				out[k] = v
			}
		}
	}
	return out
}

func keyOf(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

func (r *document) items(n ast.Node) []ast.Node {
	if s, ok := r.value(n).(*ast.SequenceNode); ok {
		return s.Values
	}
	return nil
}

func (r *document) text(n ast.Node) string {
	switch x := r.value(n).(type) {
	case *ast.StringNode:
		return x.Value
	case *ast.LiteralNode:
		return strings.TrimSpace(x.Value.Value)
	}
	return ""
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// kubernetes finds the images of containers and of volumes, wherever a resource
// has them.
func (r *document) kubernetes(key string, n ast.Node, depth int) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		r.nodes = maxNodes + 1
		return
	}
	for k, v := range r.fields(n) {
		r.kubernetes(k, v, depth+1)
	}
	for _, item := range r.items(n) {
		switch key {
		case "containers", "initContainers", "ephemeralContainers":
			r.image(r.fields(item)["image"])
		case "volumes":
			r.image(r.fields(r.fields(item)["image"])["reference"])
		}
		r.kubernetes("", item, depth+1)
	}
}

// compose finds the images of services. Of a service that is built, it is the
// name of what comes out.
func (r *document) compose(top map[string]ast.Node) {
	for _, n := range r.fields(top["services"]) {
		service := r.fields(n)
		if _, built := service["build"]; !built {
			r.image(service["image"])
		}
	}
}

// image takes an image's name. A variable that has a value of its own there is
// read, as compose has them.
func (r *document) image(n ast.Node) {
	text := r.text(n)
	if text == "" {
		return
	}
	expanded, missing := expand(text, nil)
	f := image(expanded, lineOf(n))
	switch {
	case missing != "":
		f.Reference.Source, f.Unknown = text, "the variable "+missing+" has no value in the file"
	case strings.Contains(text, "{{"):
		f.Unknown = "it is made by a template"
	}
	r.found = append(r.found, f)
}

// chart finds what a chart depends on.
func (r *document) chart(top map[string]ast.Node) {
	for _, n := range r.items(top["dependencies"]) {
		d := r.fields(n)
		repository, name, version := r.text(d["repository"]), r.text(d["name"]), r.text(d["version"])
		if repository == "" || strings.HasPrefix(repository, "file://") {
			continue // it lies in the repository
		}
		ref, err := Chart(repository, name, version)
		f := Found{Reference: ref, Line: lineOf(n)}
		switch {
		case strings.HasPrefix(repository, "@") || strings.HasPrefix(repository, "alias:"):
			f.Unknown = "its repository is a name of helm's on one machine: write its address"
		case err != nil:
			f.Unknown = err.Error()
		}
		r.found = append(r.found, f)
	}
}
