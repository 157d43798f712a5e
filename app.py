"""The app's entry: `streamlit run app.py`, or `make run`.

Streamlit reads this file twice: as a module, whose `app` is the server, and as the script that
draws a page.
"""

from streamlit import App

if __name__ == "__main__":
    from dal_ui.shared.shell import enter

    enter()
else:
    from dal_ui.server import settings
    from dal_ui.shared.errors import say_sorry

    app = App(
        __file__,
        middleware=settings.middleware(),
        lifespan=settings.open_browser,
        on_script_error=say_sorry,
    )
