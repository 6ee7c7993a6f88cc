package projectfile

import (
	_ "embed" // the schema of the file
	"encoding/json"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/kind"
)

//go:embed towpath.schema.json
var fileSchema []byte

// Schema is the JSON Schema (draft 2020-12) of the file, with the sections and
// settings of the kinds in place. It accepts whatever [Parse] accepts; beyond
// it, Parse checks what a schema can't: references, circles, addresses, times.
func Schema(builders []kind.Builder) json.RawMessage {
	root := decode(fileSchema)
	component := at(root, "$defs", "component")
	environment := at(root, "$defs", "environment")
	var conditions, settings []any
	for _, b := range slices.SortedFunc(slices.Values(builders), func(a, b kind.Builder) int {
		return slices.Compare([]byte(a.Kind()), []byte(b.Kind()))
	}) {
		name := string(b.Kind())
		section := decode(b.Schema())
		at(component, "properties")[name] = section
		settings = append(settings, decode(b.SettingsSchema()))
		this := map[string]any{"properties": map[string]any{"kind": map[string]any{"const": name}}}
		conditions = append(conditions, map[string]any{"if": map[string]any{"required": []any{name}}, "then": this})
		if required, _ := section["required"].([]any); len(required) > 0 {
			conditions = append(conditions, map[string]any{"if": this, "then": map[string]any{"required": []any{name}}})
		}
	}
	at(component, "properties", "kind")["enum"] = kindNames(builders)
	at(root, "$defs", "allowance", "properties", "rule")["enum"] = ruleNames()
	if len(conditions) > 0 {
		component["allOf"] = conditions
		at(environment, "properties", "components")["additionalProperties"] = map[string]any{"anyOf": settings}
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("projectfile: a schema encodes as JSON: %v", err))
	}
	return out
}

func decode(raw json.RawMessage) map[string]any {
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(fmt.Sprintf("projectfile: an embedded schema is JSON: %v", err))
	}
	return out
}

func at(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		next, ok := m[k].(map[string]any)
		if !ok {
			panic("projectfile: the embedded schema has no " + k)
		}
		m = next
	}
	return m
}
