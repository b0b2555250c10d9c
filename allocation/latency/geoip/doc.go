// Package geoip looks up where addresses are in databases of the MaxMind form that the
// operator supplies, and follows their files. It understands the members of GeoIP2 and
// GeoLite2 databases and those of flat ones that name a country_code.
package geoip
