package attack_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// keyIDs forges the key identifiers of a name.
func keyIDs(name string) testpki.Option {
	return func(c *x509.Certificate) {
		sum := sha256.Sum256([]byte(name))
		c.SubjectKeyId, c.AuthorityKeyId, c.SerialNumber = sum[:20], sum[:20], big.NewInt(7)
	}
}

func expired(now time.Time) testpki.Option {
	return testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour))
}

func future(now time.Time) testpki.Option {
	return testpki.Validity(now.Add(time.Hour), now.Add(2*time.Hour))
}

func extension(critical bool, oid asn1.ObjectIdentifier, der []byte) testpki.Option {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: der})
	}
}

func unknownCritical() testpki.Option {
	return extension(true, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 1}, []byte{5, 0})
}

func sha1Signed(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }

// directoryName constrains a CA to names below, or not below, O=organization.
func directoryName(organization string, excluded, critical bool) testpki.Option {
	name, err := asn1.Marshal(pkix.Name{Organization: []string{organization}}.ToRDNSequence())
	if err != nil {
		panic(err)
	}
	wrap := func(class, tag int, content []byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content})
		if err != nil {
			panic(err)
		}
		return der
	}
	side := 0
	if excluded {
		side = 1
	}
	subtree := wrap(asn1.ClassUniversal, asn1.TagSequence, wrap(asn1.ClassContextSpecific, 4, name))
	der := wrap(asn1.ClassUniversal, asn1.TagSequence, wrap(asn1.ClassContextSpecific, side, subtree))
	return extension(critical, asn1.ObjectIdentifier{2, 5, 29, 30}, der)
}

func excludeDNS(domain string) testpki.Option {
	return func(c *x509.Certificate) {
		c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, true
	}
}

// certificates are attacks by what is presented in TLS.
func certificates(w *world) []attack {
	var rows []attack
	add := func(name, reason string, present func(id string) shown) {
		rows = append(rows, attack{name: name, reason: reason, play: present})
	}
	// below presents a leaf below an intermediate of the factory's.
	below := func(options ...testpki.Option) func(id string) shown {
		return func(id string) shown {
			between := w.made(w.root.CA("between", w.now, options...))
			return chain(w.made(between.Leaf(id, w.now, testpki.DNSNames(id))), 1)
		}
	}
	leaf := func(options ...testpki.Option) func(id string) shown {
		return func(id string) shown { return chain(w.made(w.root.Leaf(id, w.now, options...)), 0) }
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	w.need(err)

	add("a foreign CA of the same name", `certificate "CN={id}" was not signed by CA certificate "CN=factory"`, func(id string) shown {
		return chain(w.made(w.made(testpki.Root("factory", w.now)).Leaf(id, w.now)), 0)
	})
	add("a foreign CA of the same name, serial number and key identifiers", `certificate "CN={id}" was not signed by CA certificate "CN=factory"`, func(id string) shown {
		return chain(w.made(w.double.Leaf(id, w.now, keyIDs("factory"))), 0)
	})
	add("the same, and presents that CA", `the chain ends in CA certificate "CN=factory", which is none of this ID scope's`, func(id string) shown {
		return chain(w.made(w.double.Leaf(id, w.now, keyIDs("factory"))), 1)
	})
	add("an intermediate of the foreign CA", `certificate "CN=between" was not signed by CA certificate "CN=factory"`, func(id string) shown {
		return chain(w.made(w.made(w.double.CA("between", w.now)).Leaf(id, w.now)), 1)
	})
	add("self-signed with the right name", `certificate "CN={id}" is self-signed`, func(id string) shown {
		return chain(w.made(testpki.SelfSigned(id, w.now)), 0)
	})
	add("self-signed twin of an enrolled certificate", "is not the enrolled one", func(id string) shown {
		w.pin(id, w.made(testpki.SelfSigned(id, w.now, keyIDs(id))), true)
		return chain(w.made(testpki.SelfSigned(id, w.now, keyIDs(id))), 0)
	})
	add("enrolled with a certificate of its own, comes with the group's", "is not the enrolled one", func(id string) shown {
		w.pin(id, w.made(testpki.SelfSigned(id, w.now)), true)
		return chain(w.made(w.root.Leaf(id, w.now)), 0)
	})
	add("a CA that was uploaded and never proven", `CA certificate "CN=unproven", uploaded as unproven2, which is not verified`, func(id string) shown {
		ca := w.made(testpki.Root("unproven", w.now))
		w.upload("unproven2", ca, false)
		return chain(w.made(ca.Leaf(id, w.now)), 0)
	})
	add("a device's certificate signs another's", `certificate "CN=other" may not issue others: it is not marked as a CA certificate`, func(id string) shown {
		device := w.made(w.root.Leaf("other", w.now))
		return chain(w.made(device.Leaf(id, w.now)), 1)
	})
	add("an intermediate with CA:FALSE", `certificate "CN=between" may not issue others`, below(testpki.NotCA()))
	add("an intermediate without keyCertSign", `CA certificate "CN=between" may not sign certificates: its key usage lacks keyCertSign`, below(testpki.KeyUsage(x509.KeyUsageDigitalSignature)))
	add("an expired intermediate", `CA certificate "CN=between" is over: it expired at`, below(expired(w.now)))
	add("an intermediate of the future", `CA certificate "CN=between" is not valid before`, below(future(w.now)))
	add("an intermediate signed with SHA-1", `certificate "CN=between" is signed with ECDSA-SHA1`, below(sha1Signed))
	add("an intermediate with an unknown critical extension", `CA certificate "CN=between" has an unknown critical extension 1.3.6.1.4.1.55555.1`, below(unknownCritical()))
	add("an intermediate with a weak key", `CA certificate "CN=between" has an RSA key of 1024 bits; 2048 is the least`, func(id string) shown {
		between := w.made(w.root.CAWithKey("between", w.now, small))
		return chain(w.made(between.Leaf(id, w.now)), 1)
	})
	add("more intermediates than the path length allows", `CA certificate "CN=outer" allows 0 CA certificates below it (path length), and the chain has 1`, func(id string) shown {
		inner := w.made(w.made(w.root.CA("outer", w.now, testpki.PathLen(0))).CA("inner", w.now))
		return chain(w.made(inner.Leaf(id, w.now)), 2)
	})
	add("a name outside the permitted DNS domain", `certificate "CN={id}" breaks the name constraints of a CA certificate above it`, below(testpki.PermitDNS("elsewhere.example")))
	add("a name inside an excluded DNS domain", `certificate "CN={id}" breaks the name constraints of a CA certificate above it`, func(id string) shown { return below(excludeDNS(id))(id) })
	add("a subject outside the permitted directory names", `CA certificate "CN=between" has name constraints on directory names`, below(directoryName("elsewhere", false, false)))
	add("a subject inside excluded directory names", `CA certificate "CN=between" has name constraints on directory names`, below(directoryName("elsewhere", true, false)))
	add("directory names, marked critical", `CA certificate "CN=between" has an unknown critical extension 2.5.29.30`, below(directoryName("elsewhere", false, true)))
	add("an expired certificate", `expired at`, leaf(expired(w.now)))
	add("a certificate of the future", `is not valid before`, leaf(future(w.now)))
	add("a certificate signed with SHA-1", `certificate "CN={id}" is signed with ECDSA-SHA1`, leaf(sha1Signed))
	add("a certificate with an unknown critical extension", `certificate "CN={id}" has an unknown critical extension`, leaf(unknownCritical()))
	add("a certificate for encipherment only", `certificate "CN={id}": its key usage does not allow digital signatures`, leaf(testpki.KeyUsage(x509.KeyUsageKeyEncipherment)))
	add("a weak key", `certificate "CN={id}" has an RSA key of 1024 bits; 2048 is the least`, func(id string) shown {
		return chain(w.made(w.root.LeafWithKey(id, w.now, small)), 0)
	})
	return append(rows, chains(w)...)
}

// chains are attacks by what stands beside good certificates.
func chains(w *world) []attack {
	present := func(leaf *testpki.Entity, above ...*testpki.Entity) shown {
		s := chain(leaf, 0)
		for _, e := range above {
			s.chain.Certificate = append(s.chain.Certificate, e.Cert.Raw)
		}
		return s
	}
	// crossed are two CA certificates that signed each other.
	crossed := func() (a, b *testpki.Entity) {
		first, second := w.made(testpki.Root("ring-a", w.now)), w.made(testpki.Root("ring-b", w.now))
		return w.made(second.CAWithKey("ring-a", w.now, first.Key)), w.made(first.CAWithKey("ring-b", w.now, second.Key))
	}
	return []attack{
		{name: "a gap in the chain", reason: `the issuer "CN=between" of certificate "CN={id}" is unknown`, play: func(id string) shown {
			return chain(w.made(w.made(w.root.CA("between", w.now)).Leaf(id, w.now)), 0)
		}},
		{name: "CA certificates that signed each other", reason: "goes in circles", play: func(id string) shown {
			a, b := crossed()
			return present(w.made(a.Leaf(id, w.now)), a, b, a, b)
		}},
		{name: "nine certificates", reason: "the device presents 9 certificates; at most 8 are taken", play: func(id string) shown {
			r := w.root
			return present(w.made(r.Leaf(id, w.now)), r, r, r, r, r, r, r, r)
		}},
		{name: "an intermediate that the factory signed, in the version that a stranger signed", reason: `the chain ends in CA certificate "CN=stranger", which is none of this ID scope's`, play: func(id string) shown {
			ours, stranger := w.made(w.root.CA("crossed", w.now)), w.made(testpki.Root("stranger", w.now))
			theirs := w.made(stranger.CAWithKey("crossed", w.now, ours.Key))
			return present(w.made(ours.Leaf(id, w.now)), theirs, stranger)
		}},
		{name: "both versions: the good one counts", admitted: true, play: func(id string) shown {
			ours, stranger := w.made(w.root.CA("crossed", w.now)), w.made(testpki.Root("stranger", w.now))
			theirs := w.made(stranger.CAWithKey("crossed", w.now, ours.Key))
			return present(w.made(ours.Leaf(id, w.now)), theirs, stranger, ours)
		}},
		{name: "everything twice: as good as once", admitted: true, play: func(id string) shown {
			between := w.made(w.root.CA("between", w.now))
			leaf := w.made(between.Leaf(id, w.now))
			return present(leaf, leaf, between, between, w.root, w.root)
		}},
		{name: "bytes that are no certificate, which TLS refuses", handshake: true, play: func(id string) shown {
			s := chain(w.made(w.root.Leaf(id, w.now)), 0)
			s.chain.Certificate = append(s.chain.Certificate, []byte("\x30\x03\x02\x01\x01"))
			return s
		}},
		{name: "no certificate and no token", status: 401, code: 401001, reason: "no credential", play: func(string) shown { return shown{chain: &tls.Certificate{}} }},
	}
}
