package projectfile

import (
	"encoding/json"
	"strconv"
	"strings"
)

// nodeKind is the type of a value in the file.
type nodeKind string

const (
	kindNull   nodeKind = "nothing (null)"
	kindBool   nodeKind = "true or false"
	kindInt    nodeKind = "a whole number"
	kindFloat  nodeKind = "a number"
	kindString nodeKind = "a string"
	kindList   nodeKind = "a list"
	kindMap    nodeKind = "a map"
)

// node is a value of the file and where it stands. A map stands where its first
// key does.
type node struct {
	kind         nodeKind
	line, column int
	text         string // of a scalar, as JSON would write it; of a string, itself
	items        []*node
	fields       []field
	size         int // nodes in it, aliases expanded
}

// field is one key of a map.
type field struct {
	key          string
	line, column int
	value        *node
}

// get finds a field of a map.
func (n *node) get(key string) (*node, bool) {
	if n == nil {
		return nil, false
	}
	for _, f := range n.fields {
		if f.key == key {
			return f.value, true
		}
	}
	return nil, false
}

// json is the value as canonical JSON: keys sorted, numbers as they stand in
// the file.
func (n *node) json() json.RawMessage {
	b, err := json.Marshal(n.generic())
	if err != nil {
		return nil // every scalar was checked when the node was made
	}
	return b
}

func (n *node) generic() any {
	switch n.kind {
	case kindNull:
		return nil
	case kindBool:
		return n.text == "true"
	case kindInt, kindFloat:
		return json.Number(n.text)
	case kindString:
		return n.text
	case kindList:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.generic()
		}
		return out
	default:
		out := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			out[f.key] = f.value.generic()
		}
		return out
	}
}

// has reports whether a path leads to a value.
func (n *node) has(path string) bool {
	_, steps := n.find(path)
	return steps == strings.Count(path, ".")+strings.Count(path, "[")+1
}

// find follows a path such as "verify.before[0].name" as far as it leads, and
// says how many steps it went.
func (n *node) find(path string) (at *node, steps int) {
	at = n
	for path != "" && at != nil {
		var next *node
		if strings.HasPrefix(path, "[") {
			end := strings.IndexByte(path, ']')
			i, err := strconv.Atoi(path[1:max(1, end)])
			if end < 0 || err != nil || i < 0 || i >= len(at.items) {
				return at, steps
			}
			next, path = at.items[i], path[end+1:]
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			found, ok := at.get(path[:end])
			if !ok {
				return at, steps
			}
			next, path = found, path[end:]
		}
		path = strings.TrimPrefix(path, ".")
		at, steps = next, steps+1
	}
	return at, steps
}
