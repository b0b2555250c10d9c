package attack_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strings"
	"unicode/utf16"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// commonNames replaces the subject by common names, in order, each of a string type.
func commonNames(tag int, names ...[]byte) testpki.Option {
	return func(c *x509.Certificate) {
		var rdns []asn1.RawValue
		for _, n := range names {
			attribute := struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: tag, Bytes: n}}
			der, err := asn1.Marshal(attribute)
			if err != nil {
				panic(err)
			}
			rdns = append(rdns, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: der})
		}
		der, err := asn1.Marshal(rdns)
		if err != nil {
			panic(err)
		}
		c.RawSubject = der
	}
}

func bmp(text string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

// names are attacks by which identity a good certificate speaks of.
func names(w *world) []attack {
	var rows []attack
	const notItsName = "registration ID is neither the certificate's common name"
	add := func(name string, options func(id string) (cn string, o []testpki.Option)) *attack {
		rows = append(rows, attack{name: name, reason: notItsName, play: func(id string) shown {
			cn, o := options(id)
			return chain(w.made(w.root.Leaf(cn, w.now, o...)), 0)
		}})
		return &rows[len(rows)-1]
	}
	replaced := func(old, instead string) func(id string) (string, []testpki.Option) {
		return func(id string) (string, []testpki.Option) { return strings.Replace(id, old, instead, 1), nil }
	}
	with := func(cn string, option func(id string) testpki.Option) func(id string) (string, []testpki.Option) {
		return func(id string) (string, []testpki.Option) { return cn, []testpki.Option{option(id)} }
	}
	add("another device's certificate", func(string) (string, []testpki.Option) { return "somebody-else", nil })
	add("Kelvin sign for k", replaced("k", "\u212a"))
	add("full-width letter", replaced("a", "\uff41"))
	add("dotless i", replaced("i", "\u0131"))
	add("capital I with dot", replaced("i", "\u0130"))
	add("Cyrillic letter", replaced("a", "\u0430"))
	add("zero-width joiner", replaced("a", "a\u200d"))
	add("blank at the end", func(id string) (string, []testpki.Option) { return id + " ", nil })
	add("blank before", func(id string) (string, []testpki.Option) { return " " + id, nil })
	add("NUL after it", func(id string) (string, []testpki.Option) { return id + "\x00.evil.example", nil })
	add("NUL before it", func(id string) (string, []testpki.Option) { return "evil\x00" + id, nil })
	add("first of two common names", with("", func(id string) testpki.Option {
		return commonNames(asn1.TagUTF8String, []byte(id), []byte("somebody-else"))
	}))
	add("last of two common names", with("", func(id string) testpki.Option {
		return commonNames(asn1.TagUTF8String, []byte("somebody-else"), []byte(id))
	})).admitted = true
	add("T61String", with("", func(id string) testpki.Option { return commonNames(asn1.TagT61String, []byte(id)) })).admitted = true
	add("BMPString", with("", func(id string) testpki.Option { return commonNames(asn1.TagBMPString, bmp(id)) })).admitted = true
	add("BMPString of full-width letters", with("", func(id string) testpki.Option {
		return commonNames(asn1.TagBMPString, bmp(strings.Replace(id, "a", "\uff41", 1)))
	}))
	add("UTF-8 bytes of the ID in a BMPString", with("", func(id string) testpki.Option { return commonNames(asn1.TagBMPString, []byte(id+id)) }))
	add("empty common name", with("", func(string) testpki.Option { return commonNames(asn1.TagUTF8String, nil) }))
	add("in the organizational unit", with("somebody-else", func(id string) testpki.Option {
		return func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{id} }
	}))
	add("in the serial number attribute", with("somebody-else", func(id string) testpki.Option {
		return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "somebody-else", SerialNumber: id} }
	}))
	add("as URI in the alternative names", with("somebody-else", func(id string) testpki.Option {
		return func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "urn", Opaque: id}, {Path: id}} }
	}))
	add("as e-mail address in the alternative names", with("somebody-else", func(id string) testpki.Option {
		return func(c *x509.Certificate) { c.EmailAddresses = []string{id} }
	}))
	add("wildcard in the alternative names", with("somebody-else", func(string) testpki.Option { return testpki.DNSNames("*", "attack-*") }))
	add("DNS name in the alternative names, as C# takes it", with("somebody-else", func(id string) testpki.Option { return testpki.DNSNames(id) })).admitted = true
	add("common name in another letter case", func(id string) (string, []testpki.Option) { return strings.ToUpper(id), nil }).admitted = true
	return append(rows, paths(w)...)
}

// paths are attacks by how the ID is written in the request.
func paths(w *world) []attack {
	spelled := func(f func(id string) string) func(id string) shown {
		return func(id string) shown {
			s := chain(w.made(w.root.Leaf(id, w.now)), 0)
			s.path = f(id)
			return s
		}
	}
	escape := func(id string) string { return strings.Replace(id, "a", "%61", 1) }
	return []attack{
		{name: "percent-encoded path", admitted: true, play: spelled(escape)},
		{name: "path in another letter case", admitted: true, play: spelled(strings.ToUpper)},
		{name: "Kelvin sign in the path", status: 400, code: 400004, play: spelled(func(id string) string { return strings.Replace(id, "k", "%E2%84%AA", 1) })},
		{name: "full-width letter in the path", status: 400, code: 400004, play: spelled(func(id string) string { return strings.Replace(id, "a", "%EF%BD%81", 1) })},
		{name: "percent-encoded twice", status: 400, code: 400004, play: spelled(func(id string) string { return strings.Replace(id, "a", "%2561", 1) })},
		{name: "NUL in the path", status: 400, code: 400004, play: spelled(func(id string) string { return id + "%00" })},
		{name: "blank in the path", status: 400, code: 400004, play: spelled(func(id string) string { return id + "%20" })},
		{name: "another ID behind a slash", status: 400, code: 400004, play: spelled(func(id string) string { return id + "%2Fx" })},
	}
}
