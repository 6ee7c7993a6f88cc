package pin

import (
	"bytes"
	"errors"
	"fmt"
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

// parseYAML takes a file apart. Marks of byte order, which other readers pass
// over at the beginning of every line, are taken out.
func parseYAML(src []byte) (*ast.File, error) {
	if bytes.IndexByte(src, 0) >= 0 || bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		return nil, errors.New("it is not written in UTF-8, and may name images")
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\n\ufeff", "\n")
	tokens := lexer.Tokenize(text)
	if !shallowTokens(tokens) {
		return nil, errYAML
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, errYAML
	}
	return file, nil
}

// document reads one YAML document. What can't be read is kept in err.
type document struct {
	targets map[*ast.AliasNode]ast.Node // what each alias stands for
	nodes   int
	patch   bool // a map in it is a part of a resource, whatever it lacks
	found   []Found
	err     error
}

func newDocument(body ast.Node) (*document, error) {
	a := &anchors{targets: map[*ast.AliasNode]ast.Node{}, named: map[string]*ast.AnchorNode{}, open: map[*ast.AnchorNode]bool{}}
	ast.Walk(a, body)
	return &document{targets: a.targets}, a.err
}

// anchors finds what aliases stand for: the last anchor of the name that begins
// before, in the same document. One that stands in what it names has no end.
// https://yaml.org/spec/1.2.2/#3222-anchors-and-aliases
type anchors struct {
	targets map[*ast.AliasNode]ast.Node
	named   map[string]*ast.AnchorNode
	open    map[*ast.AnchorNode]bool // those that the walk is in
	err     error
}

// Visit is called for each node in the order of the file.
func (a *anchors) Visit(n ast.Node) ast.Visitor {
	switch x := n.(type) {
	case *ast.AnchorNode:
		a.named[x.Name.GetToken().Value], a.open[x] = x, true
		ast.Walk(a, x.Value)
		delete(a.open, x)
		return nil
	case *ast.AliasNode:
		name := x.Value.GetToken().Value
		at := a.named[name]
		switch {
		case a.err != nil:
		case at == nil:
			a.err = fmt.Errorf("line %d has the alias *%s, and no anchor &%s stands before it: nobody knows what it names", lineOf(x), name, name)
		case a.open[at]:
			a.err = fmt.Errorf("line %d has the alias *%s in what it stands for, which has no end", lineOf(x), name)
		default:
			a.targets[x] = at
		}
		return nil
	}
	return a
}

// spent counts a node that is read, and says that nothing more is: the file is
// nested too deeply, or grows too large.
func (r *document) spent(depth int) bool {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		r.err = errYAML
	}
	return r.err != nil
}

// value follows anchors and aliases to what stands there.
func (r *document) value(n ast.Node) ast.Node {
	for range maxDepth {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			n = r.targets[x]
		case *ast.TagNode:
			n = x.Value
		case *ast.MappingKeyNode:
			n = x.Value
		default:
			return n
		}
	}
	r.err = errYAML
	return nil
}

// has says that something stands there, and not null.
func (r *document) has(n ast.Node) bool {
	v := r.value(n)
	_, null := v.(*ast.NullNode)
	return v != nil && !null && r.text(n) != "null" // behind a tag of compose's own
}

// fields are those of a map, in the order of the file; those that are merged
// into it follow.
type fields struct {
	order []string
	at    map[string]ast.Node
}

func (f *fields) add(key string, n ast.Node) {
	if _, has := f.at[key]; !has {
		f.order = append(f.order, key)
	}
	f.at[key] = n
}

func (r *document) fields(n ast.Node) fields { return r.fieldsWithin(n, 0) }

func (r *document) fieldsWithin(n ast.Node, depth int) fields {
	out := fields{at: map[string]ast.Node{}}
	m, ok := r.value(n).(ast.MapNode)
	if !ok {
		return out
	}
	var merged []fields
	for iter := m.MapRange(); iter.Next(); {
		if r.spent(depth) {
			return out
		}
		if iter.Key().IsMergeKey() {
			merged = append(merged, r.merged(iter.Value(), depth+1)...)
			continue
		}
		out.add(r.keyOf(iter.Key()), iter.Value())
	}
	for _, m := range merged {
		for _, k := range m.order {
			if r.spent(depth) {
				return out
			}
			if _, has := out.at[k]; !has {
				out.add(k, m.at[k])
			}
		}
	}
	return out
}

// merged are the maps that << merges: one, or a list of them, of which the first
// that has a field gives it.
// https://yaml.org/type/merge.html
func (r *document) merged(n ast.Node, depth int) []fields {
	all := []ast.Node{n}
	if s, ok := r.value(n).(*ast.SequenceNode); ok {
		all = s.Values
	}
	var out []fields
	for _, x := range all {
		if _, ok := r.value(x).(ast.MapNode); !ok {
			r.err = errYAML
		}
		if r.spent(depth) {
			break
		}
		out = append(out, r.fieldsWithin(x, depth))
	}
	return out
}

func (r *document) keyOf(n ast.MapKeyNode) string {
	switch x := r.value(n).(type) {
	case nil:
		return ""
	case *ast.StringNode:
		return x.Value
	case *ast.LiteralNode:
		return x.Value.Value
	default:
		return x.GetToken().Value
	}
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

// scalar is a text, or a number as it is written: "1.20" without the quotes.
func (r *document) scalar(n ast.Node) string {
	switch x := r.value(n).(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return x.GetToken().Value
	}
	return r.text(n)
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
