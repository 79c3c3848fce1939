"""The web pages, made with Gradio; each is built from an engine and knows no model."""
