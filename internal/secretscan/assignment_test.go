package secretscan_test

import (
	"strings"
	"testing"
)

// name puts a telling name together where the scan of this file finds none.
func name(parts ...string) string { return strings.Join(parts, "") }

func TestAssigned_Finds(t *testing.T) {
	value, password := made(word, 17), name("pass", "word")
	for what, text := range map[string]string{
		"a value that terraform fmt aligned":   password + strings.Repeat(" ", 16) + `= "` + value + `"`,
		"a value that gofmt aligned":           password + ":" + strings.Repeat(" ", 30) + `"` + value + `",`,
		"a connection string":                  `"Server=db;User Id=sa;Pass` + `word=` + value + `;Encrypt=true"`,
		"the end of a connection string":       `conn = "Server=db;User Id=sa;Pass` + `word=` + value + `"`,
		"libpq's words":                        `dsn := "host=db ` + password + `=` + value + ` dbname=x"`,
		"libpq's words without quotes":         `psql host=db ` + password + `=` + value + ` dbname=x`,
		"a query":                              `jdbc:postgresql://db/x?user=a&` + password + `=` + value + `&ssl=true`,
		"the end of a query":                   `url: 'jdbc:postgresql://db/x?user=a&` + password + `=` + value + `'`,
		"an item after an equals sign":         `redis:6379,` + password + `=` + value + `,ssl=True`,
		"a map in YAML":                        `{` + password + `: ` + value + `, user: a}`,
		"the end of a map in YAML":             `{user: a, ` + password + `: ` + value + `}`,
		"an option":                            `run --` + password + `=` + value + ` --host db`,
		"an option before an argument":         `login --` + password + `=` + value + ` registry.example.org`,
		"a variable of one command":            `PGPASS` + `WORD=` + value + ` psql -h db`,
		"a header":                             `curl -H "X-Api-` + `Key: ` + value + `" https://example.org`,
		"a file of variables in a JSON string": `"DB_PASS` + `WORD=` + value + `\nDB_USER=x"`,
		"a connection string in a JSON string": `"{\"db\": \"User=sa;Pass` + `word=` + value + `\"}"`,
		"a stage":                              name("DB_PASS", "WORD_STAGE=") + value,
		"a name that ends in id":               name("API_TOK", "EN_ANDROID=") + value,
		"a name that begins with age":          name("TOK", "EN_AGENT=") + value,
		"a name that begins with sha":          name("SEC", "RET_SHARED=") + value,
		"a capital in the middle":              name("api", "KeyAgent: ") + `"` + value + `"`,
		"a plural":                             name("tok", "ensForAgent = ") + `"` + value + `"`,
	} {
		t.Run(what, func(t *testing.T) {
			for _, around := range [][2]string{{"", ""}, {"first line\n", "\nlast line"}, {"\t", "\r\n"}} {
				if got := scan(t, around[0]+text+around[1]); !found(got, "assigned-secret") {
					t.Errorf("in %q: %v", around, got)
				}
			}
		})
	}
}

func TestAssigned_Passes(t *testing.T) {
	value, password := made(word, 17), name("pass", "word")
	for what, text := range map[string]string{
		"a short value in a query":            `?` + password + `=` + made(word, 9) + `&x=y`,
		"a call":                              password + `=read(cfg1a2b3c4d5e6) if x`,
		"a field":                             password + `=self.cfg1a2b3c4d5e6, user=x`,
		"an expression with spaces":           password + ` = ` + value + ` + rest`,
		"two values":                          password + ` = ` + value + `, rest`,
		"a statement after another":           password + ` = ` + value + `; rest()`,
		"a word of prose":                     `the ` + password + `: ` + value + ` was typed`,
		"the name of a secret of AWS":         `arn:aws:secretsmanager:eu-west-1:123456789012:sec` + `ret:` + value + `",`,
		"the end of such a name":              `arn:aws:secretsmanager:eu-west-1:123456789012:sec` + `ret:` + value,
		"the scope of a signature":            `"AWS4-HMAC-SHA256 Creden` + `tial=AK1D/19700101/us-east-1/dynamodb/aws4_request, SignedHeaders=host"`,
		"a template in a query":               `?` + password + `=${DB_PASSWORD_1A2B3C4D5}&x=y`,
		"a template in a connection string":   `"User=sa;Pass` + `word={{ .db1a2b3c4d5e6f }};Encrypt=true"`,
		"words in a connection string":        `"User=sa;Pass` + `word=correct-horse-battery;Encrypt=true"`,
		"what is filled in by a shell":        `run --` + password + `=$DB_PASSWORD_1A2B3C --host db`,
		"an example":                          `run --` + password + `=your-` + value + ` --host db`,
		"an ID":                               name("API_TOK", "EN_ID=") + value,
		"IDs":                                 name("tok", "enIDs: ") + `"` + value + `"`,
		"an age":                              name("tok", "en_max_age=") + value,
		"an expiry":                           name("tok", "en_expires=") + value,
		"a digest with a number":              name("SEC", "RET_SHA256=") + value,
		"a digest of several":                 name("SEC", "RETS_SHA256=") + value,
		"a URL in capitals":                   name("tok", "enURL = ") + `"` + value + `"`,
		"a path in capitals and small ones":   name("tok", "enURLPath = ") + `"` + value + `"`,
		"a name without a border":             name("sec", "retname: ") + value,
		"a manager":                           name("sec", "retsManagerArn = ") + `"` + value + `"`,
		"a manager in small letters":          name("sec", "retsmanager = ") + `"` + value + `"`,
		"a tokenizer":                         name("TOK", "ENIZER_MODEL=") + value,
		"a name that ends in several":         name("pass", "word.policies.addresses=") + value,
		"a key that only has spaces after it": password + `=` + strings.Repeat(" ", 300) + value,
	} {
		t.Run(what, func(t *testing.T) {
			if got := scan(t, "a\n"+text+"\nb"); len(got) != 0 {
				t.Errorf("found: %v", got)
			}
		})
	}
}
