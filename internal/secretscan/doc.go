// Package secretscan finds credentials in the files of a release: by formats
// that their issuers document, and by names such as "password" that a random
// value is assigned to. It says where one is and of which rule, and has no place
// to keep its value.
//
// It must not know what a release is, nor which findings somebody allows.
//
// Start reading at scan.go, then rules.go.
package secretscan
