/* SPDX-License-Identifier: MIT */
/* scope/html_files.S - the files of scope/page/, as they are (paths are the Makefile's, from the top of the tree). */
#define FILE(name, path)          \
	.globl html_file_##name;  \
html_file_##name:                 \
	.incbin path;             \
	.globl html_file_##name##_end; \
html_file_##name##_end:           \
	.byte 0;

	.section .rodata
FILE(page_html, "scope/page/page.html")
FILE(page_css, "scope/page/page.css")
FILE(model_js, "scope/page/model.js")
FILE(explain_js, "scope/page/explain.js")
FILE(map_js, "scope/page/map.js")
FILE(trace_js, "scope/page/trace.js")
FILE(report_js, "scope/page/report.js")
FILE(test_js, "scope/page/test.js")
FILE(page_js, "scope/page/page.js")
#ifdef __ELF__
	.section .note.GNU-stack, "", %progbits
#endif
