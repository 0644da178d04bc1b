# Lines of text become assembler directives that give these bytes. Question marks by number: two of them
# would be read as part of a trigraph.
s/[\\"]/\\&/g
s/?/\\077/g
s/.*/	.ascii "&\\n"/
