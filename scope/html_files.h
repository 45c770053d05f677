/* SPDX-License-Identifier: MIT */
/* scope/html_files.h - the files of scope/page/, in the program (html_files.S). */
#ifndef SCOPE_HTML_FILES_H
#define SCOPE_HTML_FILES_H

#define HTML_FILE(name) extern const char html_file_##name[], html_file_##name##_end[]
HTML_FILE(page_html);
HTML_FILE(page_css);
HTML_FILE(model_js);
HTML_FILE(explain_js);
HTML_FILE(map_js);
HTML_FILE(trace_js);
HTML_FILE(report_js);
HTML_FILE(test_js);
HTML_FILE(page_js);

#endif
