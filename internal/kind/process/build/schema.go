package build

import (
	"bytes"
	_ "embed" // the schema of the section
	"encoding/json"
	"fmt"
	"slices"
)

// sectionSchema is the JSON Schema (draft 2020-12) of a `process:` section.
//
//go:embed section.schema.json
var sectionSchema []byte

// settingsSchema derives the schema of settings from that of the section, so
// that the two can't differ.
func settingsSchema() json.RawMessage {
	var s map[string]any
	if err := json.Unmarshal(sectionSchema, &s); err != nil {
		panic(fmt.Sprintf("process: the embedded schema is JSON: %v", err))
	}
	properties, _ := s["properties"].(map[string]any)
	for key := range properties {
		if !slices.Contains(settingsKeys(), key) {
			delete(properties, key)
		}
	}
	optional(s)
	s["description"] = "Settings of the component in this environment. They win over its process section: maps merge, lists are replaced, null takes a key away."
	return canonical(s)
}

// optional makes every property of an object, and of the objects in it,
// optional and nullable.
func optional(schema map[string]any) {
	delete(schema, "required")
	properties, _ := schema["properties"].(map[string]any)
	for key, p := range properties {
		p, ok := p.(map[string]any)
		if !ok {
			continue
		}
		optional(p)
		properties[key] = nullable(p)
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		schema["additionalProperties"] = nullable(values)
	}
}

func nullable(schema map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
}

// canonical is JSON with sorted keys and nothing between the tokens.
func canonical(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("process: a spec encodes as JSON: %v", err))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var generic any
	if err := d.Decode(&generic); err != nil {
		panic(fmt.Sprintf("process: JSON just written decodes: %v", err))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(generic); err != nil {
		panic(fmt.Sprintf("process: decoded JSON encodes: %v", err))
	}
	return json.RawMessage(bytes.TrimRight(out.Bytes(), "\n"))
}
