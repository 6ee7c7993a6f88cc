package projectfile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits on a file.
const (
	maxBytes   = 1 << 20
	maxNodes   = 20_000 // with aliases expanded
	maxDepth   = 50
	maxAnchors = 100
)

// load makes the tree of a file. A file that is no YAML, or no tree within the
// limits, gives a problem and no node.
func load(src []byte) (root *node, problems Problems) {
	fail := func(line, column int, message, hint string) (*node, Problems) {
		return nil, Problems{{Line: line, Column: column, Message: message, Hint: hint}}
	}
	if len(src) > maxBytes {
		return fail(1, 1, fmt.Sprintf("the file has %d bytes, and at most %d are read", len(src), maxBytes), "move what is large into files of the components")
	}
	if !utf8.Valid(src) {
		return fail(1, 1, "the file is not UTF-8", "save it as UTF-8")
	}
	// The parser is somebody else's, and its input is untrusted: what it does
	// not survive is a problem of the file.
	defer func() {
		if p := recover(); p != nil {
			root, problems = fail(1, 1, fmt.Sprintf("the YAML can't be read: %v", p), "look for unusual syntax, and write it more plainly")
		}
	}()
	tokens := lexer.Tokenize(string(src))
	if p, ok := checkTokens(tokens); !ok {
		return nil, Problems{p}
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Problems{syntaxProblem(err)}
	}
	if len(file.Docs) > 1 {
		second := file.Docs[1]
		if second.Body != nil {
			at := position(second.Body.GetToken())
			return fail(at.Line, at.Column, "there is a second document", "keep one document in the file")
		}
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return fail(1, 1, "the file is empty", "towpath init writes a commented file to start from")
	}
	l := &loader{anchors: map[string]*node{}}
	root = l.convert(file.Docs[0].Body, 0)
	if l.full {
		return nil, l.problems
	}
	return root, l.problems
}

// checkTokens refuses what a recursive parser might not survive, and the parts
// of YAML that have no use here.
func checkTokens(tokens token.Tokens) (Problem, bool) {
	depth, anchors, entries, line := 0, 0, 0, 0
	for _, t := range tokens {
		refuse := func(message, hint string) (Problem, bool) {
			at := position(t)
			return Problem{Line: at.Line, Column: at.Column, Message: message, Hint: hint}, false
		}
		if at := position(t); at.Line != line {
			line, entries = at.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		case token.AnchorType:
			anchors++
		case token.TagType:
			return refuse("tags are not read", "take the tag out; put what shall be a string in quotes")
		case token.MappingKeyType:
			return refuse("keys with a question mark are not read", "write key: value")
		case token.DirectiveType:
			return refuse("directives are not read", "take the line out")
		}
		if depth > maxDepth || entries > maxDepth {
			return refuse(fmt.Sprintf("it is nested deeper than %d levels", maxDepth), "write it flatter")
		}
		if anchors > maxAnchors {
			return refuse(fmt.Sprintf("there are more than %d anchors", maxAnchors), "repeat what differs little")
		}
	}
	return Problem{}, true
}

func syntaxProblem(err error) Problem {
	p := Problem{Line: 1, Column: 1, Message: "this is not YAML", Hint: "look at the indentation and the quotes around here"}
	var e yaml.Error
	if errors.As(err, &e) {
		at := position(e.GetToken())
		p.Line, p.Column, p.Message = at.Line, at.Column, "this is not YAML: "+e.GetMessage()
	}
	return p
}

func position(t *token.Token) token.Position {
	if t == nil || t.Position == nil {
		return token.Position{Line: 1, Column: 1}
	}
	return *t.Position
}

// loader converts the library's tree into ours.
type loader struct {
	anchors  map[string]*node
	nodes    int
	full     bool // a limit was reached: the tree is not whole
	problems Problems
}

func (l *loader) problem(t *token.Token, message, hint string) {
	at := position(t)
	l.problems = append(l.problems, Problem{Line: at.Line, Column: at.Column, Message: message, Hint: hint})
}

// convert returns a null node for what it reports.
func (l *loader) convert(n ast.Node, depth int) *node {
	at := position(n.GetToken())
	out := &node{kind: kindNull, line: at.Line, column: at.Column, size: 1}
	l.nodes++
	if l.full {
		return out
	}
	if depth > maxDepth || l.nodes > maxNodes {
		l.full = true
		l.problem(n.GetToken(), "the file is nested too deeply or has too many values", fmt.Sprintf("at most %d levels and %d values are read, aliases expanded", maxDepth, maxNodes))
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.kind, out.text = kindBool, strconv.FormatBool(n.Value)
	case *ast.IntegerNode:
		out.kind, out.text = kindInt, fmt.Sprint(n.Value)
	case *ast.FloatNode:
		out.kind, out.text = kindFloat, strconv.FormatFloat(n.Value, 'g', -1, 64)
		if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
			out.kind, out.text = kindNull, ""
			l.problem(n.GetToken(), "the number is too large", "")
		}
	case *ast.StringNode:
		out.kind, out.text = kindString, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = kindString, n.Value.Value
	case *ast.AnchorNode:
		value := l.convert(n.Value, depth+1)
		l.anchors[anchorName(n.Name)] = value
		return value
	case *ast.AliasNode:
		return l.alias(n, out)
	case *ast.SequenceNode:
		out.kind = kindList
		for _, item := range n.Values {
			out.items = append(out.items, l.convert(item, depth+1))
		}
		out.measure()
	case ast.MapNode:
		l.convertMap(n, out, depth)
	default:
		l.problem(n.GetToken(), fmt.Sprintf("%s is not read here", n.Type()), "write it more plainly")
	}
	l.printable(n.GetToken(), out.text)
	return out
}

// printable reports a text that could drive a terminal: no release may have one.
func (l *loader) printable(at *token.Token, text string) {
	if strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) >= 0 {
		l.problem(at, fmt.Sprintf("the text %.100q has a control character", text), "take it out; a program can write it by itself")
	}
}

// alias is the anchor's own node: nothing is copied, and its whole size counts
// again.
func (l *loader) alias(n *ast.AliasNode, otherwise *node) *node {
	name := anchorName(n.Value)
	value, ok := l.anchors[name]
	if !ok {
		l.problem(n.GetToken(), fmt.Sprintf("there is no anchor &%s above", name), "")
		return otherwise
	}
	l.nodes += value.size
	return value
}

func anchorName(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return strings.TrimSpace(n.GetToken().Value)
}

func (l *loader) convertMap(m ast.MapNode, out *node, depth int) {
	out.kind = kindMap
	var merged []field
	for iter := m.MapRange(); iter.Next(); {
		key, at := iter.Key(), position(iter.Key().GetToken())
		value := l.convert(iter.Value(), depth+1)
		if key.IsMergeKey() {
			merged = append(merged, l.merged(key, value)...)
			continue
		}
		name, ok := keyName(key)
		if !ok {
			l.problem(key.GetToken(), "a key must be a string", "put it in quotes")
			continue
		}
		l.printable(key.GetToken(), name)
		if first, dup := out.field(name); dup {
			l.problem(key.GetToken(), fmt.Sprintf("the key %q stands here a second time", name), fmt.Sprintf("the first is in line %d", first.line))
			continue
		}
		out.fields = append(out.fields, field{key: name, line: at.Line, column: at.Column, value: value})
	}
	for _, f := range merged {
		if _, dup := out.field(f.key); !dup {
			out.fields = append(out.fields, f)
		}
	}
	out.measure()
	if len(out.fields) > 0 {
		out.line, out.column = out.fields[0].line, out.fields[0].column
	}
}

// merged are the fields that "<<" brings in: those of one map, or of several
// of which the first wins.
func (l *loader) merged(key ast.MapKeyNode, value *node) []field {
	if value.kind == kindMap {
		return value.fields
	}
	var out []field
	for _, item := range value.items {
		if item.kind == kindMap {
			out = append(out, item.fields...)
		}
	}
	if out == nil {
		l.problem(key.GetToken(), "<< takes a map", "write <<: *anchor")
	}
	return out
}

func keyName(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.LiteralNode:
		return k.Value.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode, *ast.NullNode:
		return key.GetToken().Value, true
	}
	return "", false
}

func (n *node) field(key string) (field, bool) {
	for _, f := range n.fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// measure counts the nodes below n, without overflow however often aliases
// double them.
func (n *node) measure() {
	n.size = 1
	for _, item := range n.items {
		n.size = min(maxNodes+1, n.size+item.size)
	}
	for _, f := range n.fields {
		n.size = min(maxNodes+1, n.size+f.value.size)
	}
}
