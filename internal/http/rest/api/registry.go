package api

// TagRules are the tags of a project's repositories that never move once they
// are set, nor are deleted.
type TagRules struct {
	Immutable []string `json:"immutable" maxItems:"32" doc:"regular expressions (RE2), for example ^v[0-9]"`
}
