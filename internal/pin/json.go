package pin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var errJSON = errors.New("it is JSON that can't be read, and may name images")

// jsonManifests finds the references of resources that are written in JSON, one
// or several of them. Most files of JSON are something else, and some of what is
// called so is read by its own tool only: they are passed over.
func jsonManifests(src []byte) ([]Found, error) {
	var out []Found
	for line := 1; ; {
		d := json.NewDecoder(bytes.NewReader(src))
		resource, err := isResource(d)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			found, err := otherManifests(src)
			return append(out, moved(found, line-1)...), err
		}
		value := src[:d.InputOffset()]
		if resource {
			found, err := oneManifest(value)
			if out = append(out, moved(found, line-1)...); err != nil {
				return out, err
			}
		}
		line += bytes.Count(value, []byte("\n"))
		src = src[len(value):]
	}
}

// oneManifest reads a resource: JSON is YAML. Tabs stand between its parts only.
func oneManifest(src []byte) ([]Found, error) {
	if len(src) > MaxFile {
		return nil, fmt.Errorf("a resource in it has more than %d bytes, and may name images", MaxFile)
	}
	if !shallowJSON(src) {
		return nil, errJSON
	}
	found, err := manifests("", bytes.ReplaceAll(src, []byte("\t"), []byte(" ")))
	if err != nil {
		return nil, errJSON
	}
	return found, nil
}

// otherManifests reads what is no JSON: kubectl takes YAML in a file of that name.
func otherManifests(src []byte) ([]Found, error) {
	may := bytes.Contains(src, []byte("apiVersion")) && bytes.Contains(src, []byte("kind"))
	if len(src) > MaxFile {
		if may {
			return nil, errJSON
		}
		return nil, nil
	}
	found, err := manifests("", src)
	if err != nil && !may {
		return found, nil
	}
	return found, err
}

// isResource reads one value, and says whether it has what every resource of
// Kubernetes has, or what kustomize takes for a part of one, or is a list of
// operations, which may patch one.
func isResource(d *json.Decoder) (bool, error) {
	has := map[string]bool{}
	depth, key := 0, false // key: the next token of the outermost map is one
	outermost := json.Delim(0)
	for {
		t, err := d.Token()
		if err != nil {
			if depth > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
		delim, _ := t.(json.Delim)
		switch {
		case delim == '{' || delim == '[':
			if depth++; depth == 1 {
				outermost, key = delim, true
				continue
			}
		case delim != 0:
			depth--
		case depth == 1 && outermost == '{' && key && (t == "apiVersion" || t == "kind" || t == "metadata"):
			has[fmt.Sprint(t)] = true
		case depth == 2 && outermost == '[' && (t == "op" || t == "path"):
			has[fmt.Sprint(t)] = true
		}
		if depth == 0 {
			return has["kind"] && (has["apiVersion"] || has["metadata"]) || has["op"] && has["path"], nil
		}
		if depth == 1 {
			key = !key
		}
	}
}

func moved(found []Found, lines int) []Found {
	for i := range found {
		if found[i].Line > 0 {
			found[i].Line += lines
		}
	}
	return found
}
